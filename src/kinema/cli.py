"""``kinema <verb>``: options, one-line errors and exit codes. Nothing heavy is imported until a verb runs."""

from __future__ import annotations

import argparse
import errno
import importlib
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from kinema import __version__
from kinema.errors import InputError, KinemaError

OK, OURS, USERS, INTERRUPTED = 0, 1, 2, 130  # exit codes

# Turns that GNU OpenMP's idle threads wait actively, of 300,000 by default: beside other busy programs a video took two
# to ten times as long, because threads waited on a core for one that had none. On idle cores it makes no difference.
OPENMP_TURNS = "10000"


class Parser(argparse.ArgumentParser):
    """Reports mistakes as InputError, in one line, instead of printing the usage and exiting."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message} (see: {self.prog} --help)")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Returns:
        0; 1 for a failure of ours or of the machine, 2 for the user's mistake, 130 when interrupted.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    os.environ.setdefault("GOMP_SPINCOUNT", OPENMP_TURNS)  # read once, when torch is imported
    try:
        options = build_parser().parse_args(arguments)
        logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
        logging.getLogger("torch").setLevel(logging.WARNING)  # or an interrupted run ends with its statistics
        importlib.import_module(f"kinema.commands.{options.verb}").run(options)
        sys.stdout.flush()
        return OK
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED, debug)
    except InputError as error:
        return _fail(str(error), USERS, debug)
    except KinemaError as error:
        return _fail(str(error), OURS, debug)
    except BrokenPipeError:  # whoever read our output has seen enough, as in `kinema info | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except Exception as error:
        return _fail(_unexpected(error), OURS, debug)


def build_parser() -> Parser:
    """The whole command line."""
    parser = Parser(prog="kinema", description="Text becomes video.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"kinema {__version__}")
    parser.add_argument("--debug", action="store_true", help="show tracebacks of errors")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB", title="verbs")
    _generate(verbs)
    _worlds(verbs)
    _codec(verbs)
    _train(verbs)
    _evaluate(verbs)
    info = _verb(verbs, "info", "show what the weights were made for, how they were trained and how they score")
    _weights(info)
    return parser


Verbs = argparse._SubParsersAction  # argparse has no public name for what add_subparsers returns


def _verb(verbs: Verbs[Parser], name: str, about: str) -> Parser:
    parser = verbs.add_parser(name, help=about, description=f"{about[0].upper()}{about[1:]}.", allow_abbrev=False)
    parser.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help="show tracebacks of errors")
    return parser


def _weights(parser: Parser) -> None:
    parser.add_argument("--weights", default="nano", metavar="DIR", help="built-in name or exported folder (nano)")


def _generate(verbs: Verbs[Parser]) -> None:
    parser = _verb(verbs, "generate", "make a video from a prompt; what is left out is native to the weights")
    native = "default: native to the weights, see `kinema info`"
    parser.add_argument("prompt", metavar="PROMPT", nargs="?", default="", help="what the video shows")
    parser.add_argument("--seconds", type=float, help=f"duration, 0 to 60; of the new part of a clip ({native})")
    parser.add_argument("--size", metavar="WxH", help=f"pixels, multiples of 16 ({native})")
    parser.add_argument("--fps", type=float, help=f"frames per second, 6 to 30 ({native})")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same machine, same bytes (0)")
    parser.add_argument("--count", type=int, default=1, metavar="N", help="variations, seeds SEED, SEED + 1 … (1)")
    _weights(parser)
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help=".mp4, .webm, .gif, .webp or .png (default: from the prompt, .mp4)"
    )
    _given(parser.add_argument_group("what is given", "at most one of these, but both images"))
    _sampling(parser.add_argument_group("sampling"), native)
    words = parser.add_argument_group("help with the prompt")
    words.add_argument("--expand", action="store_true", help="write the prompt out into the form of training")
    words.add_argument("--expand-url", metavar="URL", help="let the chat model there do it (OpenAI-compatible)")
    words.add_argument("--expand-model", metavar="NAME", default="default", help="its name there (default)")


def _given(parser: argparse._ArgumentGroup) -> None:
    """Options that name pictures and clips."""
    parser.add_argument("--image", type=Path, metavar="FILE", help="the first frame")
    parser.add_argument("--last-image", type=Path, metavar="FILE", help="the last frame")
    parser.add_argument("--extend", type=Path, metavar="FILE", help="a clip to go on with")
    parser.add_argument("--backward", action="store_true", help="with --extend: begin before its start")
    parser.add_argument("--connect", type=Path, nargs=2, metavar=("A", "B"), help="two clips to join with new frames")
    parser.add_argument("--fill", type=Path, metavar="FILE", help="a clip of which a part is made anew")
    parser.add_argument("--span", type=float, nargs=2, metavar=("FROM", "UNTIL"), help="with --fill: seconds")
    parser.add_argument("--loop", action="store_true", help="let the end lead back to the start")
    parser.add_argument("--remix", type=Path, metavar="FILE", help="a clip to change")
    parser.add_argument("--strength", type=float, metavar="S", help="with --remix: 0, as it is, to 1, all new (0.7)")
    parser.add_argument("--mask", type=Path, metavar="FILE.png", help="with --remix: white where it may change")
    parser.add_argument("--storyboard", type=Path, metavar="FILE.toml", help="what happens when")
    parser.add_argument("--again", type=Path, metavar="FILE", help="make this generated file once more, byte for byte")


def _sampling(parser: argparse._ArgumentGroup, native: str) -> None:
    """Options of the solver and of guidance."""
    parser.add_argument("--steps", type=int, help=f"solver steps ({native})")
    parser.add_argument("--solver", help=f"euler, heun, dpmpp or unipc ({native})")
    parser.add_argument("--guidance", type=float, metavar="G", help=f"pull towards the text, 1 is none ({native})")
    parser.add_argument("--negative", default="", metavar="TEXT", help="what to stay away from")
    parser.add_argument(
        "--guidance-interval",
        dest="interval",
        type=float,
        nargs=2,
        default=(0.0, 1.0),
        metavar=("LOW", "HIGH"),
        help="noise levels with guidance (0 1)",
    )
    parser.add_argument(
        "--guidance-rescale",
        dest="rescale",
        type=float,
        default=0.0,
        metavar="R",
        help="share of the added contrast to take back (0)",
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--rollout", action="store_true", default=None, help="sample window after window (default: long videos)"
    )
    length.add_argument("--whole", dest="rollout", action="store_false", help="sample all frames at once")


def _worlds(verbs: Verbs[Parser]) -> None:
    parser = _verb(verbs, "worlds", "show the simulated worlds that training clips come from")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    families = _verb(actions, "list", "list the families of worlds")
    _contact_sheet(families, "one clip of every family, a row each")
    render = _verb(actions, "render", "simulate one world, write its video and tell its story")
    render.add_argument("family", metavar="FAMILY", help="a name from `kinema worlds list`")
    render.add_argument("--seed", type=int, default=0, help="names the clip, together with the family (0)")
    _clip_shape(render)
    render.add_argument("--out", type=Path, metavar="FILE", help=".mp4, .webm, .gif, .webp or .png")
    render.add_argument("--state", type=Path, metavar="FILE.json", help="write caption and exact state here")
    render.add_argument("--depth", type=Path, metavar="FILE.npz", help="write depth in metres and body ids here")
    _contact_sheet(render, "clips of SEED, SEED + 1 …, a row each")
    make = _verb(actions, "make", "make WebDataset shards of clips; repeat the command to resume or repair")
    make.add_argument("--clips", type=int, required=True, metavar="N", help="how many, with seeds FIRST_SEED …")
    make.add_argument("--families", metavar="A,B", help="take turns (all of `kinema worlds list`)")
    make.add_argument("--first-seed", type=int, default=0, metavar="S", help="of the first clip (0)")
    _clip_shape(make)
    make.add_argument("--shard-clips", type=int, default=100, metavar="N", help="clips in a shard (100)")
    make.add_argument("--workers", type=int, metavar="N", help="processes (all cores)")
    make.add_argument(
        "--ray", action="store_true", help="spread the shards over a Ray cluster (pip install kinema[ray])"
    )
    make.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the shards")


def _clip_shape(parser: Parser) -> None:
    parser.add_argument("--size", default="64x64", metavar="WxH", help="pixels, multiples of 16 (64x64)")
    parser.add_argument("--seconds", type=float, default=2.75, help="duration, 0 to 60 (2.75)")
    parser.add_argument("--fps", type=float, default=12.0, help="frames per second, 6 to 30 (12)")


def _contact_sheet(parser: Parser, about: str) -> None:
    parser.add_argument("--contact-sheet", type=Path, metavar="FILE.png", help=about)


def _codec(verbs: Verbs[Parser]) -> None:
    parser = _verb(verbs, "codec", "work with the video autoencoder alone")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    reconstruct = _verb(actions, "reconstruct", "encode and decode a video; print PSNR and SSIM")
    reconstruct.add_argument("file", type=Path, metavar="FILE", help="any video or image")
    _weights(reconstruct)
    reconstruct.add_argument("--out", type=Path, required=True, metavar="FILE", help=".mp4, .webm, .gif, .webp or .png")


def _train(verbs: Verbs[Parser]) -> None:
    parser = _verb(verbs, "train", "train a network; repeat the command to resume")
    parser.add_argument(
        "what",
        choices=("codec", "latents", "planner", "model"),
        help="the video autoencoder, the latents of the clips and what plans where bodies go (both in RUN_DIR of the "
        "model), or the text-to-video model",
    )
    parser.add_argument("--preset", default="nano", metavar="NAME", help="nano, small, base or large (nano)")
    parser.add_argument("--out", type=Path, required=True, metavar="RUN_DIR", help="folder of the run")
    parser.add_argument(
        "--codec",
        type=Path,
        metavar="DIR",
        help="run folder of a trained codec, or weights whose codec to take: nano or a folder (for latents and model)",
    )
    parser.add_argument("--workers", type=int, metavar="N", help="processes that render clips (all cores; for latents)")
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="train on the videos in this folder as well (for codec)"
    )
    parser.add_argument("--init", metavar="DIR", help="start from these weights, a built-in name or a folder")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SECTION.KEY=VALUE",
        help="change a setting; repeatable",
    )
    parser.add_argument("--dry-run", action="store_true", help="show the settings, check them, and stop")
    parser.add_argument("--stop-after", type=float, metavar="SECONDS", help="save and stop; repeat to go on")


def _evaluate(verbs: Verbs[Parser]) -> None:
    parser = _verb(verbs, "evaluate", "examine a model suite by suite against exact truth; write a report")
    parser.add_argument(
        "--suite", action="append", default=[], metavar="NAME", help="run this one alone; repeatable (all suites)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="all suites in at most five minutes, with fewer clips and steps"
    )
    _weights(parser)
    parser.add_argument("--against", metavar="DIR", help="a second model: both columns, and their difference")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of report.json and report.html")
    parser.add_argument("--workers", type=int, metavar="N", help="processes with suites of their own (as many as fit)")
    parser.add_argument("--update-card", action="store_true", help="write the scores into the card of the weights")


def _fail(message: str, code: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    print(f"kinema: {' '.join(message.split())}", file=sys.stderr)
    return code


def _unexpected(error: Exception) -> str:
    if isinstance(error, MemoryError) or "not enough memory" in str(error):
        return "not enough memory: ask for a smaller --size or fewer --seconds"
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "no space left on the disk: make room and repeat the command"
    return f"internal error, {type(error).__name__}: {str(error)[:300]} (add --debug for the traceback)"
