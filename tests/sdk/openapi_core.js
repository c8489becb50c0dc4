// @alicloud/openapi-core (V3), what @alicloud/live20161101 stands on: the worked example, in the query or as a form.
const { default: Client, $OpenApiUtil } = require('@alicloud/openapi-core');
const { RuntimeOptions } = require('@darabonba/typescript');
const { play } = require('./show.js');

const [endpoint, accessKeyId, accessKeySecret, liveUrl, MaterialId, ImageId, place] = process.argv.slice(2);
const client = new Client(new $OpenApiUtil.Config({
  accessKeyId, accessKeySecret, endpoint, protocol: 'HTTP',
}));
const call = async (action, parameters) => {
  const params = new $OpenApiUtil.Params({
    action, version: '2016-11-01', protocol: 'HTTP', pathname: '/', method: 'POST', authType: 'AK',
    style: 'RPC', reqBodyType: 'formData', bodyType: 'json',
  });
  const texts = Object.fromEntries(Object.entries(parameters).map(([name, value]) => [name, String(value)]));
  const request = new $OpenApiUtil.OpenApiRequest(place === 'form' ? { body: texts } : { query: texts });
  return (await client.callApi(params, request, new RuntimeOptions({ readTimeout: 30000 }))).body;
};
play(call, liveUrl, { MaterialId, ImageId }).catch((error) => {
  console.error(error);
  process.exit(1);
});
