"""aliyun-python-sdk-live (V1, everything in the query): the worked example."""
import importlib
import json
import sys

from aliyunsdkcore.client import AcsClient

import show

host, key, secret = sys.argv[1:4]
client = AcsClient(key, secret, "cn-shanghai")


def call(action, parameters):
    module = importlib.import_module(f"aliyunsdklive.request.v20161101.{action}Request")
    request = getattr(module, f"{action}Request")()
    request.set_endpoint(host)
    for name, value in parameters.items():
        setter = f"set_{name}s" if isinstance(value, list) else f"set_{name}"
        getattr(request, setter)(value)
    return json.loads(client.do_action_with_exception(request))


show.play(call)
