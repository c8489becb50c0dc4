"""alibabacloud_live20161101: the worked example through its models, by V3 or (mode `v2`) by V1 with a typed client."""
import inspect
import re
import sys

from alibabacloud_live20161101 import models
from alibabacloud_live20161101.client import Client
from alibabacloud_tea_openapi.models import Config, OpenApiRequest, Params
from alibabacloud_tea_util.models import RuntimeOptions

import show

host, key, secret, live_url, material, image = sys.argv[1:7]
algorithm = dict(signature_algorithm="v2") if sys.argv[7:] == ["v2"] else {}
client = Client(
    Config(access_key_id=key, access_key_secret=secret, endpoint=host, protocol="HTTP", **algorithm)
)
PLAIN = {"str": str, "int": int, "bool": bool, "float": (int, float)}
BODY = re.compile(r"(\w*(?:Caster|Episode)\w*)ResponseBody")
# Fields of the models that cannot arise, by the beginning of their path.
ABSENT = {
    # Of casters that are paid in advance.
    "DescribeCasters": ["CasterList.Caster.ExpireTime", "CasterList.Caster.PurchaseTime"],
    # Not documented.
    "DescribeCasterConfig": ["AudioMixerMode"],
    # Of captions.
    "DescribeCasterComponents": ["Components.Component.CaptionLayerContent"],
}
seen = {}


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


def documented(model, path=""):
    """Every field of a model, nested ones behind a dot, as they are called on the wire."""
    pairs = re.findall(r"m\.get\('(\w+)'\) is not None:.*?self\.(\w+)", inspect.getsource(model.from_map), re.S)
    kinds = model.__init__.__annotations__
    for wire, name in pairs:
        yield path + wire
        inner = re.search(r"main_models\.(\w+)", str(kinds[name]))
        if inner:
            yield from documented(getattr(models, inner[1]), f"{path}{wire}.")


def told(value, path=""):
    """Every field of an answer, in the same form."""
    for element in value if isinstance(value, list) else [value]:
        if isinstance(element, dict):
            for name, inner in element.items():
                if inner not in (None, "", []):
                    yield path + name
                    yield from told(inner, f"{path}{name}.")


def generic(action, parameters):
    """What the SDK has no method for any more."""
    params = Params(
        action=action, version="2016-11-01", protocol="HTTP", pathname="/", method="POST", auth_type="AK",
        style="RPC", req_body_type="formData", body_type="json",
    )
    request = OpenApiRequest(query=show.flat(parameters))
    return client.call_api(params, request, RuntimeOptions())["body"]


def call(action, parameters):
    method = re.sub("(?<!^)(?=[A-Z])", "_", action).lower()
    if not hasattr(client, method):
        seen.setdefault(action, set())
        return generic(action, parameters)
    request = getattr(models, f"{action}Request")().from_map(parameters)
    response = getattr(client, method)(request)
    show.same(response.status_code, 200, "status")
    show.same(response.body.request_id, response.body.request_id.upper(), "RequestId")
    check_types(response.body, "model", action)
    answer = response.body.to_map()
    seen.setdefault(action, set()).update(told(answer))
    return answer


show.play(call, live_url, (material, image))
bodies = filter(None, map(BODY.fullmatch, dir(models)))
operations = {body[1]: getattr(models, body[0]) for body in bodies if hasattr(models, f"{body[1]}Request")}
show.same(set(operations) - set(seen), set(), "operations that were not called")
show.same(len(seen), 50, "operations")
for action, model in operations.items():
    expected = [f for f in documented(model) if not f.startswith(tuple(ABSENT.get(action, ["-"])))]
    show.same([f for f in expected if f not in seen[action]], [], f"fields that {action} never told")
