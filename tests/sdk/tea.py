"""alibabacloud_live20161101: the worked example through its models, by V3 or (mode `v2`) by V1 with a typed client."""
import re
import sys

from alibabacloud_live20161101 import models
from alibabacloud_live20161101.client import Client
from alibabacloud_tea_openapi.models import Config

import show

host, key, secret = sys.argv[1:4]
algorithm = dict(signature_algorithm="v2") if sys.argv[4:] == ["v2"] else {}
client = Client(
    Config(access_key_id=key, access_key_secret=secret, endpoint=host, protocol="HTTP", **algorithm)
)
PLAIN = {"str": str, "int": int, "bool": bool, "float": (int, float)}


def check_types(value, annotation, where):
    """The other typed SDKs fail where Python does not look: hold each value against its model."""
    item = re.fullmatch(r"List\[(.*)\]", annotation)
    if value is None:
        return
    if item:
        show.same(type(value), list, where)
        for element in value:
            check_types(element, item[1], where)
    elif annotation in PLAIN:
        right = isinstance(value, PLAIN[annotation]) and (annotation == "bool") == isinstance(value, bool)
        show.same(right, True, f"{where}: {value!r} is {annotation}")
    else:
        for name, kind in type(value).__init__.__annotations__.items():
            check_types(getattr(value, name), str(kind), f"{where}.{name}")


def call(action, parameters):
    method = re.sub("(?<!^)(?=[A-Z])", "_", action).lower()
    request = getattr(models, f"{action}Request")().from_map(parameters)
    response = getattr(client, method)(request)
    show.same(response.status_code, 200, "status")
    show.same(response.body.request_id, response.body.request_id.upper(), "RequestId")
    check_types(response.body, "model", action)
    return response.body.to_map()


show.play(call)
