"""Prompt help: the long form keeps what was said, adds the rest in known words, and asks nobody unless told to."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from kinema.captions.vocabulary import Vocabulary, words
from kinema.errors import InputError
from kinema.sample.expand import expand, expand_online
from kinema.sample.weights import WeightsFolder


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return WeightsFolder.find("nano").vocabulary()


@pytest.mark.parametrize(
    "prompt",
    [
        "a red ball falls and bounces on a grey floor",
        "a yellow ball and a green cube fall at dusk",
        "A small red metal ball hits a blue cube.",
        "an orange cylinder slides down a ramp on a beige floor in daylight",
        "red ball",
    ],
)
def test_all_that_was_said_stays_and_all_that_is_added_is_known(vocabulary: Vocabulary, prompt: str) -> None:
    long = expand(prompt, vocabulary)
    assert set(words(prompt)) - {"an", "a", "on"} <= set(words(long))
    assert not vocabulary.unknown(long)
    assert len(words(long)) > len(words(prompt)) and long == expand(prompt, vocabulary)


def test_what_was_said_is_not_said_otherwise(vocabulary: Vocabulary) -> None:
    long = words(expand("a big steel ball rolls on a white floor in dim light", vocabulary))
    assert {"big", "steel", "white", "dim"} <= set(long)
    assert not {"medium-sized", "rubber", "grey", "soft"} & set(long)


def test_only_words_that_the_model_knows_are_added() -> None:
    long = expand("a red ball falls", Vocabulary(["a", "red", "ball", "falls", "grey", "floor", "with", "the"]))
    assert "rubber" not in long and "light" not in long and "grey floor" in long


def test_a_prompt_without_bodies_stays(vocabulary: Vocabulary) -> None:
    assert expand("Two cats sleep", vocabulary) == "Two cats sleep"


class Chat(BaseHTTPRequestHandler):
    answer = b""
    asked: dict[str, object] = {}

    def do_POST(self) -> None:
        Chat.asked = {"path": self.path} | json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(Chat.answer)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def service() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Chat)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_chat_model_is_asked(service: str) -> None:
    Chat.answer = json.dumps({"choices": [{"message": {"content": " A long\nform. "}}]}).encode()
    assert expand_online("a ball", service, "some-model") == "A long form."
    assert Chat.asked["path"] == "/v1/chat/completions" and Chat.asked["model"] == "some-model"
    assert "a ball" in json.dumps(Chat.asked["messages"])


@pytest.mark.parametrize("answer", [b"", b"<html>", b"[]", b'{"choices": []}', b'{"choices": [{"message": {}}]}'])
def test_a_wrong_answer_is_told(service: str, answer: bytes) -> None:
    Chat.answer = answer
    with pytest.raises(InputError, match="127.0.0.1") as caught:
        expand_online("a ball", service, "m")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/v1", "file:///etc/passwd", "nowhere"])
def test_no_service_is_told(url: str) -> None:
    with pytest.raises(InputError, match="--expand-url"):
        expand_online("a ball", url, "m")
