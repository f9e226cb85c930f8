"""Runs ministack so that it, and every function process it starts, ends with the lab.

Standard input is the read end of a pipe that only the lab holds open. When the lab drops its end, or dies of
whatever, that pipe ends and the whole process group is killed: ministack starts the processes of functions
without a session or group of their own.
"""

import os
import runpy
import signal
import sys
import threading

from ministack.services import stepfunctions


def follow_the_lab() -> None:
    while os.read(0, 4096):
        pass
    os.killpg(os.getpgrp(), signal.SIGKILL)


apply_output_path = stepfunctions._apply_output_path


def output_of(state, data, context=None):
    if state.get("Type") == "Succeed" and stepfunctions._state_query_language(state, context) == "JSONata":
        return stepfunctions._apply_jsonata_output(state, data, context, default=data)
    return apply_output_path(state, data, context)


stepfunctions._apply_output_path = output_of
# The lab starts this as the leader of a group of its own; never kill anybody else's.
if os.getpgrp() != os.getpid():
    os.setpgrp()
threading.Thread(target=follow_the_lab, name="follow-the-lab", daemon=True).start()
sys.argv = ["ministack"]
runpy.run_module("ministack", run_name="__main__")
