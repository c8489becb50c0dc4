// Black (16, 128, 128) where nothing opaque will be drawn. Needs canvas.wgsl.

struct FillParams {
    area: Area,
}

var<immediate> params: FillParams;

@compute @workgroup_size(8, 8)
fn fill(@builtin(global_invocation_id) id: vec3<u32>) {
    if any(id.xy >= params.area.block_count) {
        return;
    }
    let block = params.area.first_block + id.xy;
    let words = words_of(params.area, block);
    let mask = mask_of(params.area, block);
    put(words.x, 0x10101010u, mask);
    put(words.y, 0x10101010u, mask);
    put(words.z, 0x80808080u, mask);
}
