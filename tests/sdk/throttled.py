"""A server with the documented limits: past 15 calls in a second the client is told to wait, and may go on later."""
import sys

from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.client import AcsClient
from aliyunsdklive.request.v20161101.DescribeCastersRequest import DescribeCastersRequest

from show import same

host, key, secret = sys.argv[1:4]
client = AcsClient(key, secret, "cn-shanghai")
codes = []
while len(codes) < 1000 and (codes[-1:] != [""] or "Throttling.User" not in codes):
    request = DescribeCastersRequest()
    request.set_endpoint(host)
    try:
        client.do_action_with_exception(request)
        codes.append("")
    except ServerException as refused:
        codes.append(refused.get_error_code())
same(set(codes), {"", "Throttling.User"}, "codes")
same(codes.index("Throttling.User") >= 15, True, "a second's worth at once")
