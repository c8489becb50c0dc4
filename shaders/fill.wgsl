// One colour where nothing opaque will be drawn. Needs canvas.wgsl.

struct FillParams {
    area: Area,
    // Four luma samples; U V U V.
    luma_word: u32,
    chroma_word: u32,
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
    put(words.x, params.luma_word, mask);
    put(words.y, params.luma_word, mask);
    put(words.z, params.chroma_word, mask);
}
