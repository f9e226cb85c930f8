"""Scans Terraform with checkov, and holds its suppressions to be argued and needed.

    python scan.py DIRECTORY

Fails on what checkov finds or cannot read, on a suppression without a reason, and on one that suppresses nothing.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

SUPPRESSION = re.compile(r"checkov:skip=(?P<check>\w+)(:(?P<reason>.*))?")
# Shorter says nothing.
WORDS = 4


def scan(directory):
    """Checkov's own words on a directory."""
    checkov = Path(sys.executable).with_name("checkov")
    command = [checkov, "--directory", directory, "--framework", "terraform", "--output", "json", "--skip-download", "--skip-path", "/tests/"]
    environment = {**os.environ, "LOG_LEVEL": "ERROR"}
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    try:
        return json.loads(done.stdout)["results"]
    except (KeyError, TypeError, ValueError):
        sys.exit(f"checkov ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def suppressions(directory):
    """File, line, check and reason of each suppression."""
    for file in sorted(Path(directory).rglob("*.tf")):
        if ".terraform" in file.parts:
            continue
        for number, line in enumerate(file.read_text().splitlines(), 1):
            if found := SUPPRESSION.search(line):
                yield file.resolve(), number, found["check"], (found["reason"] or "").strip()


def problems(directory):
    """What is to be put right, a line for each."""
    results = scan(directory)
    for file in results["parsing_errors"]:
        yield f"{file}: checkov cannot read it"
    for check in results["failed_checks"]:
        place = f"{check['repo_file_path']}:{check['file_line_range'][0]}"
        yield f"{place}: {check['resource']}: {check['check_id']} {check['check_name']}"
    used = {}
    for check in results["skipped_checks"]:
        used.setdefault((Path(check["file_abs_path"]).resolve(), check["check_id"]), set()).update(
            range(check["file_line_range"][0], check["file_line_range"][1] + 1)
        )
    count = 0
    for file, number, check, reason in suppressions(directory):
        count += 1
        if len(reason.split()) < WORDS:
            yield f"{file}:{number}: {check} is suppressed without a reason"
        if number not in used.get((file, check), ()):
            yield f"{file}:{number}: {check} is suppressed where it finds nothing"
    passed = len(results["passed_checks"])
    if passed == 0:
        yield f"{directory}: nothing was scanned"
    print(f"{passed} checks passed, {count} suppressions")


def main():
    found = list(problems(sys.argv[1]))
    for problem in found:
        print(problem, file=sys.stderr)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
