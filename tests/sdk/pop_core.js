// @alicloud/pop-core (V1): the worked example by GET (query) or POST (form), as the mode says.
const { RPCClient } = require('@alicloud/pop-core');
const { play } = require('./show.js');

const [host, accessKeyId, accessKeySecret, liveUrl, MaterialId, ImageId, method] = process.argv.slice(2);
const client = new RPCClient({
  accessKeyId, accessKeySecret, endpoint: `http://${host}`, apiVersion: '2016-11-01',
});
const call = (action, parameters) => client.request(action, parameters, { method, timeout: 30000 });
play(call, liveUrl, { MaterialId, ImageId }).catch((error) => {
  console.error(error);
  process.exit(1);
});
