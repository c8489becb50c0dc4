// The short form of the worked example, for the Node clients. `call(action, parameters)` answers the response.
const assert = require('assert');
const { randomUUID } = require('crypto');

exports.play = async (call) => {
  const { CasterId } = await call('CreateCaster', {
    CasterName: '演播 demo*~+', ClientToken: randomUUID(), NormType: 1, ChargeType: 'PostPaid',
  });
  const on = (action, parameters) => call(action, { CasterId, ...parameters });
  await on('SetCasterConfig', {
    DomainName: '127.0.0.1', TranscodeConfig: JSON.stringify({ casterTemplate: 'lp_ld' }),
  });
  await on('AddCasterVideoResource', {
    ResourceName: 'clip', LocationId: 'RV01', VodUrl: 'pattern:640x360@30', RepeatNum: -1,
  });
  const { LayoutId } = await on('AddCasterLayout', {
    'BlendList.1': 'RV01', 'VideoLayer.1.FillMode': 'fit', 'VideoLayer.1.WidthNormalized': 1,
    'VideoLayer.1.HeightNormalized': 1, 'VideoLayer.1.PositionNormalized.1': 0,
    'VideoLayer.1.PositionNormalized.2': 0, 'MixList.1': 'RV01', 'AudioLayer.1.VolumeRate': '1.0',
  });
  const { ComponentId } = await on('AddCasterComponent', {
    ComponentName: 'title', LocationId: 'RC01', ComponentType: 'text',
    ComponentLayer: JSON.stringify({ PositionNormalized: [0.05, 0.85] }),
    TextLayerContent: JSON.stringify({ Text: 'hello 世界', Color: 0xff0000, SizeNormalized: 0.08 }),
  });
  const started = await on('StartCaster', {});
  const pvw = started.PvwSceneInfos.SceneInfo[0].SceneId;
  const pgm = started.PgmSceneInfos.SceneInfo[0].SceneId;
  assert.strictEqual(started.PgmSceneInfos.SceneInfo[0].StreamInfos.StreamInfo.length, 3);
  await on('SetCasterSceneConfig', { SceneId: pvw, LayoutId, 'ComponentId.1': ComponentId });
  await on('CopyCasterSceneConfig', { FromSceneId: pvw, ToSceneId: pgm });
  const { SceneList } = await on('DescribeCasterScenes', { SceneId: pgm });
  assert.strictEqual(SceneList.Scene[0].LayoutId, LayoutId);
  assert.deepStrictEqual(SceneList.Scene[0].ComponentIds.componentId, [ComponentId]);
  const { Total, CasterList } = await call('DescribeCasters', { CasterId, OrderByModifyAsc: true });
  assert.strictEqual(Total, 1);
  assert.match(CasterList.Caster[0].CasterName, /演播/);
  await on('StopCaster', {});
  assert.strictEqual((await on('DeleteCaster', {})).CasterId, CasterId);
  await assert.rejects(on('DeleteCaster', {}), (refused) => {
    assert.strictEqual(refused.code, 'InvalidCaster.NotFound', refused);
    return true;
  });
};
