"""The GitHub action: its syntax, and its shell steps, run as a runner does."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import threading
import venv
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from agecompact.bench import store
from tests.action_runner import Job
from tests.support import REPOSITORY

ACTION = yaml.safe_load((REPOSITORY / "action.yml").read_text())
STEPS = ACTION["runs"]["steps"]
SCRIPTS = {step["name"]: step["run"] for step in STEPS if "run" in step}
PAGE = (REPOSITORY / "docs" / "ci.md").read_text()
WORKFLOWS = {
    "ci.yml": (REPOSITORY / ".github" / "workflows" / "ci.yml").read_text(),
    **dict(re.findall(r"^```yaml title=(\S+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)),
}


# Syntax.


def problems(content: Any, schema: str) -> list[str]:
    text = (REPOSITORY / "tests" / "data" / "github" / f"{schema}.schema.json").read_text()
    validator = jsonschema.Draft7Validator(json.loads(text))
    return [error.message for error in validator.iter_errors(content)]


def workflow(text: str) -> Any:
    # YAML 1.1 reads `on` as a truth value, and GitHub does not.
    return {"on" if key is True else key: each for key, each in yaml.safe_load(text).items()}


def test_the_action_is_one_for_github() -> None:
    assert problems(ACTION, "action") == []
    broken = json.loads(json.dumps(ACTION))
    del broken["runs"]["steps"][1]["shell"]
    assert problems(broken, "action")


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_is_one_for_github(name: str) -> None:
    content = workflow(WORKFLOWS[name])
    assert problems(content, "workflow") == []
    broken = {**content, "jobs": {"gate": {"runs-on": "ubuntu-24.04", "step": []}}}
    assert problems(broken, "workflow")


def test_both_workflows_of_the_page_are_checked() -> None:
    assert len(WORKFLOWS) == 3
    assert PAGE.count("```yaml") == 2


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_script_holds_an_expression(name: str) -> None:
    """GitHub would paste the text of an input into the script, whatever it contains."""
    assert "${{" not in SCRIPTS[name]


@pytest.mark.parametrize("text", [yaml.safe_dump(ACTION), *WORKFLOWS.values()])
def test_every_action_that_is_used_is_pinned(text: str) -> None:
    for used in re.findall(r"uses:\s*(\S+)", text):
        assert used == "OWNER/agecompact@main" or re.search(r"@(v\d+|[0-9a-f]{40})$", used), used


def test_every_input_is_used_and_documented() -> None:
    used = set(re.findall(r"inputs\.([\w-]+)", json.dumps(STEPS)))
    assert used == set(ACTION["inputs"])
    documented = dict(re.findall(r"^\| `([\w-]+)` \| (.*?) \|", PAGE, re.MULTILINE))
    assert set(documented) == used
    for name, default in documented.items():
        if default.startswith("`"):
            assert ACTION["inputs"][name]["default"] == default.strip("`"), name
    for text in list(WORKFLOWS.values())[1:]:
        steps = workflow(text)["jobs"]["gate"]["steps"]
        (given,) = [step["with"] for step in steps if "agecompact@" in step.get("uses", "")]
        assert set(given) <= used
        assert {n for n, each in ACTION["inputs"].items() if each.get("required")} <= set(given)


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
@pytest.mark.parametrize("name", SCRIPTS)
def test_shellcheck_finds_nothing(name: str) -> None:
    command = ["shellcheck", "--shell", "bash", "-"]
    done = subprocess.run(command, input=SCRIPTS[name], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


# The comment.


@dataclass
class GitHub:
    """GitHub's comments on pull request 7, over HTTP.

    Attributes:
        comments: The comments so far.
        refuses: Whether nothing may be written.
        tokens: The tokens of all calls.
    """

    comments: list[dict[str, Any]] = field(default_factory=list)
    refuses: bool = False
    tokens: set[str] = field(default_factory=set)
    url: str = ""

    def answer(self, method: str, path: str, content: Any) -> tuple[int, Any]:
        issue, _, query = path.partition("?")
        if method == "GET" and issue == "/repos/someone/faces/issues/7/comments":
            page = int(re.findall(r"\bpage=(\d+)", query)[-1])
            return 200, self.comments[100 * (page - 1) : 100 * page]
        if self.refuses:
            return 403, {"message": "Resource not accessible by integration"}
        if method == "POST" and issue == "/repos/someone/faces/issues/7/comments":
            self.comments.append({"id": 1000 + len(self.comments), "body": content["body"]})
            return 201, self.comments[-1]
        changed = re.fullmatch(r"/repos/someone/faces/issues/comments/(\d+)", issue)
        if method == "PATCH" and changed:
            (comment,) = [each for each in self.comments if each["id"] == int(changed[1])]
            comment["body"] = content["body"]
            return 200, comment
        return 404, {}


@pytest.fixture
def github() -> Iterator[GitHub]:
    hub = GitHub()

    class Handler(BaseHTTPRequestHandler):
        def _reply(self) -> None:
            hub.tokens.add(self.headers["Authorization"])
            length = int(self.headers.get("Content-Length") or 0)
            content = json.loads(self.rfile.read(length)) if length else None
            code, reply = hub.answer(self.command, self.path, content)
            self.send_response(code)
            self.end_headers()
            self.wfile.write(json.dumps(reply).encode())

        do_GET = do_POST = do_PATCH = _reply  # noqa: N815 - names of the library.

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        hub.url = f"http://127.0.0.1:{server.server_port}"
        yield hub
        server.shutdown()


# The steps, with programs that only say what they were asked.

# `agecompact` fails in the verb that FAIL names, with its code.
_STUB = """#!/bin/sh
echo "$(basename "$0") $*" >> "$CALLS"
case "$0 $1" in *python\\ -m) exit 0 ;; *python\\ *) exec PYTHON "$@" ;; esac
verb="$1"
case "$2" in check|freeze|diff) verb="$verb-$2" ;; esac
while [ $# -gt 0 ]; do
  case "$1" in --json|--markdown) echo "content of $1" > "$2" ;; esac
  shift
done
if [ "$verb" = "${FAIL%:*}" ]; then exit "${FAIL#*:}"; fi
"""


@dataclass
class Stubs:
    """Stubs for `agecompact` and `python`, and the job that runs with them."""

    folder: Path
    github: GitHub

    def job(self, fails: str = "", event: Any = ("pull_request", 7), **inputs: str) -> Job:
        number = len(list(self.folder.iterdir()))
        temporary = self.folder / f"job {number}"
        temporary.mkdir()
        environment = {
            "PATH": f"{self.folder / 'bin'}:/usr/bin:/bin",
            "CALLS": str(temporary / "calls"),
            "FAIL": fails,
            "GITHUB_API_URL": self.github.url,
        }
        given = {"model": "ssrnet", **{n.replace("_", "-"): v for n, v in inputs.items()}}
        workspace = self.folder / "workspace"
        return Job(ACTION, REPOSITORY, workspace, temporary, given, environment, event).run()

    def calls(self, job: Job) -> list[str]:
        text = Path(job.environment["CALLS"]).read_text()
        return text.replace(str(job.temporary), "TEMP").splitlines()


@pytest.fixture
def stubs(tmp_path: Path, github: GitHub) -> Stubs:
    (tmp_path / "bin").mkdir()
    (tmp_path / "workspace").mkdir()
    for name in ("agecompact", "python"):
        program = tmp_path / "bin" / name
        program.write_text(_STUB.replace("PYTHON", sys.executable))
        program.chmod(0o755)
    return Stubs(tmp_path, github)


def asked(stubs: Stubs, job: Job) -> list[str]:
    """What `agecompact` was asked, without the name of the random folder."""
    lines = [re.sub(r"TEMP/agecompact\.\w+", "OUT", line) for line in stubs.calls(job)]
    return [line.removeprefix("agecompact ") for line in lines if line.startswith("agecompact ")]


def test_it_runs_each_verb_once_and_comments(stubs: Stubs, github: GitHub) -> None:
    job = stubs.job()
    assert not job.failed, job.log
    assert asked(stubs, job) == [
        "doctor",
        "export ssrnet --format onnx --format tflite",
        "verify build/ssrnet",
        "parity check build/ssrnet --json OUT/parity.json --markdown OUT/parity.md",
        "report build/ssrnet --markdown OUT/table.md",
    ]
    assert job.summary.startswith("### agecompact: ssrnet\n")
    (comment,) = github.comments
    assert comment["body"] == f"<!-- agecompact: ssrnet -->\n{job.summary}"
    assert github.tokens == {"Bearer a token"}


def test_all_inputs_reach_the_verbs_unchanged(stubs: Stubs) -> None:
    (stubs.folder / "workspace" / "sub").mkdir()
    (stubs.folder / "workspace" / "sub" / "my net.toml").touch()
    job = stubs.job(
        model="my net.toml",
        weights="a b.pth; touch /tmp/x",
        formats="onnx\ncoreml\n",
        precisions="fp32\nint8",
        calibration="my chips",
        images="$(id)",
        baseline_parity="ci/parity.json",
        baseline_latency="ci/latency.json",
        bench_on="emulated:cortex-a76",
        threshold="3%",
        working_directory="sub",
    )
    assert not job.failed, job.log
    assert asked(stubs, job)[1:] == [
        "export my net.toml --format onnx --format coreml --precision fp32 --precision int8 "
        "--weights a b.pth; touch /tmp/x --calibration my chips",
        "verify my net.toml",
        "parity check my net.toml --json OUT/parity.json --markdown OUT/parity.md "
        "--images $(id) --baseline ci/parity.json",
        "parity freeze my net.toml",
        "bench my net.toml --on emulated:cortex-a76 --json OUT/latency.json",
        "bench diff ci/latency.json OUT/latency.json --threshold 3%",
        "report my net.toml --markdown OUT/table.md",
    ]
    pip = [line for line in stubs.calls(job) if "pip install" in line]
    assert pip[0].endswith(f"torch=={lock()['torch']}")
    # The tools of TFLite, which make int8 files.
    assert pip[1].endswith(
        f"--constraint {REPOSITORY}/requirements.lock {REPOSITORY}[coreml,tflite]"
    )
    assert "python -m android_bench.emulated.make_bundle" in stubs.calls(job)


def lock() -> dict[str, str]:
    lines = (REPOSITORY / "requirements.lock").read_text().splitlines()
    pins = (line.partition(";")[0] for line in lines)
    return dict(pin.split("==") for pin in pins if "==" in pin)


@pytest.mark.parametrize(
    ("fails", "step", "ran"),
    [
        ("doctor:3", "Check the machine", {"Report": "skipped", "Parity": "skipped"}),
        ("export:4", "Export", {"Verify": "skipped", "Report": "skipped", "Bench": "skipped"}),
        ("verify:1", "Verify", {"Parity": "success", "Report": "success"}),
        (
            "parity-check:1",
            "Parity",
            {"Verify": "success", "Report": "success", "Bench": "success"},
        ),
        ("bench:1", "Bench", {"Compare with the baseline": "skipped", "Report": "success"}),
        ("bench-diff:1", "Compare with the baseline", {"Report": "success"}),
        ("bench-diff:5", "Compare with the baseline", {"Report": "success"}),
        ("report:2", "Report", {"Comment on the pull request": "skipped"}),
    ],
)
def test_a_gate_that_fails_fails_the_job_and_hides_no_other(
    stubs: Stubs, fails: str, step: str, ran: dict[str, str]
) -> None:
    job = stubs.job(fails, baseline_latency="latency.json")
    assert job.failed
    assert job.outcomes[step] == "failure", job.log
    assert {name: job.outcomes[name] for name in ran} == ran, job.log
    if ran.get("Report") == "success":
        assert job.outcomes["Comment on the pull request"] == "success"


@pytest.mark.parametrize(("code", "failed"), [(0, False), (1, True), (2, True), (5, False)])
def test_only_what_cannot_be_told_may_warn(stubs: Stubs, code: int, failed: bool) -> None:
    job = stubs.job(f"bench-diff:{code}", baseline_latency="latency.json", undecided="warn")
    assert job.failed is failed
    assert ("::warning" in job.log) is (code == 5)


def test_a_later_run_changes_its_comment_and_no_other(stubs: Stubs, github: GitHub) -> None:
    github.comments += [{"id": n, "body": None if n == 3 else f"comment {n}"} for n in range(150)]
    before = json.dumps(github.comments)
    for model in ("ssrnet", "c3ae", "ssrnet"):
        assert not stubs.job(model=model).failed
    ours = github.comments[150:]
    assert json.dumps(github.comments[:150]) == before
    marks = [comment["body"].splitlines()[0] for comment in ours]
    assert marks == ["<!-- agecompact: ssrnet -->", "<!-- agecompact: c3ae -->"]


def test_a_comment_that_is_refused_warns_and_does_not_fail(stubs: Stubs, github: GitHub) -> None:
    github.refuses = True
    job = stubs.job()
    assert not job.failed
    assert "::warning title=agecompact::the report is not on the pull request: HTTP Error 403" in (
        job.log
    )
    assert "### agecompact: ssrnet" in job.summary
    github.url = "http://127.0.0.1:1"
    assert not stubs.job().failed


@pytest.mark.parametrize(
    ("event", "comment"), [(("push", None), "true"), (("pull_request", 7), "false")]
)
def test_without_a_pull_request_or_a_wish_there_is_no_comment(
    stubs: Stubs, github: GitHub, event: Any, comment: str
) -> None:
    job = stubs.job(event=event, comment=comment)
    assert job.outcomes["Comment on the pull request"] == "skipped"
    assert github.comments == []


# The steps, in earnest.


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """A virtual environment with all packages but agecompact, as a runner's after a first run."""
    pytest.importorskip("pip", reason="this environment has no pip")
    place, packages = tmp_path / "venv", tmp_path / "packages"
    packages.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if "agecompact" not in entry.name and entry.suffix != ".pth":
            (packages / entry.name).symlink_to(entry)
    venv.create(place, with_pip=False)
    (site,) = place.glob("lib/*/site-packages")
    # Outside the environment, so that pip changes nothing there.
    (site / "packages.pth").write_text(f"{packages}\n")
    return place


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A copy of the repository: to install it leaves files beside its sources."""
    ignored = shutil.ignore_patterns(
        ".git", ".venv", "build", "dist", "runs", "tests", "__pycache__", "*.egg-info", ".*_cache"
    )
    return shutil.copytree(REPOSITORY, tmp_path / "source", ignore=ignored)


@pytest.mark.slow
def test_the_steps_install_export_prove_and_report(
    tmp_path: Path, python: Path, source: Path, github: GitHub
) -> None:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    environment = {
        "PATH": f"{python / 'bin'}:/usr/bin:/bin",
        "PYTHONPATH": "",
        "GITHUB_API_URL": github.url,
        # What is there is used; what is not fails instead of gigabytes being downloaded.
        "PIP_NO_INDEX": "1",
        "PIP_NO_BUILD_ISOLATION": "0",
        "XDG_CACHE_HOME": os.environ["XDG_CACHE_HOME"],
    }

    def job(name: str, **inputs: str) -> Job:
        temporary = tmp_path / name
        temporary.mkdir()
        given = {"model": "ssrnet", "formats": "onnx", "precisions": "fp32"}
        given |= {n.replace("_", "-"): v for n, v in inputs.items()}
        return Job(ACTION, source, workspace, temporary, given, environment).run()

    passing = job("passing")
    assert not passing.failed, passing.log
    assert "Successfully installed agecompact" in passing.log
    assert "export, parity and predict work" in passing.log
    assert "ssrnet_float32.onnx" in passing.summary
    assert github.comments[0]["body"].endswith(passing.summary)

    # Baselines with another file, and with no measurement at all.
    (parity,) = passing.temporary.glob("agecompact.*/parity.json")
    held = json.loads(parity.read_text())
    held["results"] += [{**each, "artifact": "gone.onnx"} for each in held["results"]]
    (workspace / "parity.json").write_text(json.dumps(held))
    (workspace / "latency.json").write_text(json.dumps(store.to_json([])))
    failing = job(
        "failing",
        baseline_parity="parity.json",
        baseline_latency="latency.json",
        undecided="warn",
    )
    failed = [step for step, outcome in failing.outcomes.items() if outcome == "failure"]
    assert failed == ["Parity"], failing.log
    assert "no longer in the build" in failing.summary
    assert "::warning title=agecompact::bench diff cannot tell" in failing.log
    assert len(github.comments) == 1
    assert github.comments[0]["body"].endswith(failing.summary)

    # A baseline whose files were half as large.
    (latency,) = failing.temporary.glob("agecompact.*/latency.json")
    measured = json.loads(latency.read_text())
    for record in measured["records"]:
        record["artifact"] |= {"file_bytes": record["artifact"]["file_bytes"] // 2, "size": None}
    (workspace / "latency.json").write_text(json.dumps(measured))
    larger = job("larger", baseline_latency="latency.json", undecided="warn")
    failed = [step for step, outcome in larger.outcomes.items() if outcome == "failure"]
    assert failed == ["Compare with the baseline"], larger.log
    assert "regressions beyond 0.05" in larger.log
