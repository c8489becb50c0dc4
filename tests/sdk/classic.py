"""aliyun-python-sdk-live (V1, everything in the query): the worked example, and every operation that the SDK has."""
import importlib
import json
import pkgutil
import sys

from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.request import CommonRequest
from aliyunsdklive.request import v20161101

import show

host, key, secret, live_url, material, image = sys.argv[1:7]
client = AcsClient(key, secret, "cn-shanghai")
operations = {
    module.name.removesuffix("Request")
    for module in pkgutil.iter_modules(v20161101.__path__)
    if "Caster" in module.name
}
called = set()


def common(action, parameters):
    """What the SDK has no class for any more."""
    request = CommonRequest(domain=host, version="2016-11-01", action_name=action)
    request.set_method("POST")
    for name, value in show.flat(parameters).items():
        request.add_query_param(name, value)
    return request


def own(action, parameters):
    module = importlib.import_module(f"aliyunsdklive.request.v20161101.{action}Request")
    request = getattr(module, f"{action}Request")()
    request.set_endpoint(host)
    for name, value in parameters.items():
        setter = f"set_{name}s" if isinstance(value, list) else f"set_{name}"
        getattr(request, setter)(value)
    return request


def call(action, parameters):
    called.add(action)
    request = (own if action in operations else common)(action, parameters)
    # Some ask for TLS by themselves.
    request.set_protocol_type("http")
    return json.loads(client.do_action_with_exception(request))


show.play(call, live_url, (material, image))
show.same(operations - called, set(), "operations that were not called")
show.same(len(called), 50, "operations")
