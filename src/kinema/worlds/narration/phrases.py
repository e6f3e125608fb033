"""Wordings: what each kind of deed is called. Training captions and held-out captions share no wording of a concept.

A star marks the verb that agrees with the subject. ``{how}`` is an adverb, ``{way}`` a direction, both with a space in
front, or nothing; ``{other}`` whom it is done to.
"""

from __future__ import annotations

PHRASES: dict[str, tuple[str, ...]] = {
    # through the air
    "falls": ("fall*", "drop*", "fall* down", "be* falling", "come* down"),
    "thrown": ("be* thrown{way}", "be* tossed{way}", "fly* through the air{way}", "fly*{way}", "fly* in an arc{way}"),
    "flies": ("fly*{way}", "move* through the air{way}", "be* in the air"),
    "bounces": ("bounce*", "bounce* off the floor", "bounce* up", "bounce* back up", "hit* the floor and bounce*"),
    "bounces_again": ("bounce* again", "bounce* once more"),
    "keeps_bouncing": ("keep* bouncing", "go* on bouncing", "bounce* again and again"),
    "lands": ("land*", "land* on the floor", "hit* the floor", "reach* the floor"),
    # along the floor
    "rolls": ("roll*{how}{way}", "be* rolling{how}{way}", "roll* along the floor{way}", "roll* across the floor{way}"),
    "slides": (
        "slide*{how}{way}",
        "be* sliding{how}{way}",
        "slide* along the floor{way}",
        "slide* across the floor{way}",
    ),
    "tumbles": ("tumble*{way}", "roll* over{way}", "turn* over{way}"),
    "moves": ("move*{how}{way}", "be* moving{how}{way}", "go*{how}{way}"),
    "turns_back": ("turn* back{way}", "come* back{way}", "turn* round and come* back{way}"),
    "down_ramp": ("roll* down the ramp{how}", "roll* downhill{how}", "run* down the ramp{how}"),
    "slides_down_ramp": ("slide* down the ramp{how}", "slide* downhill{how}", "glide* down the ramp{how}"),
    "up_ramp": ("go* up the ramp", "move* up the ramp"),
    "rests": ("come* to rest", "stop*", "lie* still", "come* to a stop", "stop* moving"),
    "waits": ("wait*", "stand* still", "do* not move", "stay* still"),
    "kicked": ("set* off{way}", "start* to move{way}", "get* a push{way}", "be* pushed{way}"),
    "jumps": ("jump* up{way}", "jump* into the air{way}", "leave* the floor{way}"),
    # one another
    "hits": ("hit* {other}", "bump* into {other}", "knock* into {other}", "run* into {other}", "strike* {other}"),
    "hit_by": ("be* hit by {other}", "be* struck by {other}"),
    "lands_on": ("land* on {other}", "fall* onto {other}", "drop* onto {other}"),
    "collide": ("collide*", "hit* each other", "bump* into each other", "meet* and bounce* apart"),
    "topples": ("topple*", "fall* over", "tip* over", "topple* over"),
    # out of sight
    "hides": ("go* behind {other}", "disappear* behind {other}", "pass* behind {other}", "be* hidden by {other}"),
    "comes_out": ("come* out{side}", "come* out again{side}", "reappear*{side}", "come* back into view{side}"),
    "stays_hidden": ("stay* hidden", "do* not come out again", "stay* out of sight"),
    "leaves": ("leave* the picture", "go* out of view", "leave* the view"),
    "enters": ("come* into view", "enter* the picture", "come* into the picture"),
    "seen_through": ("be* seen through {other}", "be* behind {other}", "pass* behind {other}", "look* bent in {other}"),
    # on a rod
    "swings": ("swing*{way}", "be* swinging{way}"),
    "swings_back": ("swing* back{way}", "turn* and swing*{way}", "swing* the other way"),
    "keeps_swinging": ("swing* to and fro", "swing* back and forth", "keep* swinging"),
    # glass
    "shatters": ("shatter*", "break*", "break* into pieces", "break* apart", "shatter* into pieces"),
    "shatters_by": ("be* shattered by {other}", "be* broken by {other}"),
    "breaks": ("break* {other}", "shatter* {other}", "hit* {other} and break* it", "break* {other} into pieces"),
    "survives": ("stay* whole", "do* not break", "stay* in one piece"),
    "pieces": (
        "the pieces fall to the floor",
        "the pieces fly apart",
        "its pieces fall",
        "pieces lie on the floor",
    ),
    # water
    "splashes": ("fall* into the water", "splash* into the water", "drop* into the water", "hit* the water"),
    "floats": ("float*", "float* on the water", "come* up and float*", "stay* on top of the water"),
    "sinks": ("sink*", "sink* to the bottom", "go* under water", "go* down to the bottom"),
    "drips": ("drops of water fall into the water", "drops fall into the water", "water drips into the pool"),
    "drop": ("a drop of water falls into the water", "a drop falls into the water", "a single drop hits the water"),
    "rings": ("rings spread over the water", "waves spread on the water", "round waves run outwards"),
    # paint
    "paints": ("leave* {other}", "draw* {other}", "paint* {other}"),
    "stays_painted": ("the stroke stays", "the paint stays on the floor", "the stroke does not go away"),
    # many at once
    "chain": ("topple* one after another", "fall* over one by one", "tip* over in a chain"),
    "keeps_standing": ("stay* standing", "keep* standing", "do* not fall", "stay* upright"),
    "stands": ("stand* firm", "stay* standing", "do* not fall", "hold*"),
    "collapses": ("fall* over", "topple*", "collapse*", "fall* apart"),
    "falls_off": ("fall* off", "slide* off", "fall* down from the tower"),
    # a world of blocks
    "scores": ("score* a point", "get* a point", "pick* up {other}", "collect* {other}", "take* {other}"),
    "hops": ("hop*{way}", "hop* from block to block{way}", "jump* over the blocks{way}", "move* on{way}"),
}
"""Wordings of training captions, for each kind of deed."""

HELD_OUT_PHRASES: dict[str, tuple[str, ...]] = {
    "falls": ("plummet*", "be* let go", "head* for the floor"),
    "thrown": ("sail* through the air{way}", "be* flung{way}"),
    "flies": ("soar*{way}",),
    "bounces": ("rebound* from the floor", "spring* up from the floor"),
    "bounces_again": ("rebound* a second time",),
    "lands": ("touch* down", "arrive* on the floor"),
    "rolls": ("travel* by rolling{way}", "trundle*{way}"),
    "slides": ("skid*{way}", "glide* along{way}"),
    "down_ramp": ("descend* the slope by rolling",),
    "slides_down_ramp": ("skid* down the slope",),
    "rests": ("halt*", "settle* down"),
    "waits": ("remain* in place",),
    "hits": ("crash* into {other}", "slam* into {other}"),
    "hit_by": ("take* a hit from {other}",),
    "collide": ("crash* together",),
    "topples": ("tumble* down", "keel* over"),
    "hides": ("vanish* behind {other}", "slip* out of sight behind {other}"),
    "comes_out": ("emerge*{side}", "show* up again{side}"),
    "stays_hidden": ("never show* up again",),
    "seen_through": ("show* through {other}",),
    "swings": ("sway*{way}",),
    "keeps_swinging": ("sway* from side to side",),
    "shatters": ("burst* into fragments", "smash* to bits"),
    "survives": ("withstand* the blow", "come* through undamaged"),
    "splashes": ("plunge* into the water",),
    "floats": ("drift* at the surface of the water",),
    "sinks": ("end* up on the bed of the basin",),
    "rings": ("ripples travel outwards",),
    "paints": ("leave* behind {other}",),
    "chain": ("go* down like a wave",),
    "keeps_standing": ("survive* upright",),
    "stands": ("stand* fast",),
    "collapses": ("come* crashing down",),
    "falls_off": ("tumble* off",),
    "scores": ("earn* a point",),
}
"""Wordings that no training caption contains; captions of held-out clips use them wherever there is one."""

WAYS = {
    "left": ("to the left", "to the left", "towards the left", "leftwards"),
    "right": ("to the right", "to the right", "towards the right", "rightwards"),
    "back": ("away from the viewer", "away from the camera"),
    "front": ("towards the viewer", "towards the camera"),
}
ADVERBS = {"slow": ("slowly",), "fast": ("fast", "quickly")}
PASSIVE = {"hits": "hit_by"}
"""Deeds that can be told from the other side."""
