"""The Lambda service of the emulator: what it does with answers that no function may give."""

from __future__ import annotations

import threading
from http.client import HTTPConnection

import pytest

from tests.aws.runtime import BASE, MAX_PAYLOAD, FunctionError, runtime_api


@pytest.mark.parametrize("size", [MAX_PAYLOAD, MAX_PAYLOAD + 1])
def test_answer_over_six_megabytes_is_lost(size: int) -> None:
    with runtime_api() as api:

        def answers() -> None:
            connection = HTTPConnection(api.address)
            connection.request("GET", f"{BASE}/invocation/next")
            asked = connection.getresponse()
            asked.read()
            body = b'"' + b"x" * (size - 2) + b'"'
            connection.request(
                "POST", f"{BASE}/invocation/{asked.headers['Lambda-Runtime-Aws-Request-Id']}/response", body
            )
            connection.getresponse().read()
            connection.close()

        instance = threading.Thread(target=answers)
        instance.start()
        if size <= MAX_PAYLOAD:
            assert len(api.invoke({})) == size - 2
        else:
            with pytest.raises(FunctionError, match="ResponseSizeTooLarge"):
                api.invoke({})
        instance.join()
