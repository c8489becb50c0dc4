// The canvas: NV12 in 32-bit words, the first byte of a word in its low bits.
//
// One invocation owns a block of 4 × 2 pixels: two words of luma (one a row) and one word of chroma (U V U V).
// Rectangles stand on even columns, so a block at an edge may belong to a rectangle by one half only.

@group(0) @binding(0) var<storage, read_write> canvas: array<u32>;

// The part of the canvas that a dispatch draws on.
struct Area {
    // From one row to the next, luma and chroma alike.
    row_words: u32,
    // Where chroma begins.
    chroma_word: u32,
    first_block: vec2<u32>,
    block_count: vec2<u32>,
    // First column and the one past the last.
    columns_px: vec2<u32>,
}

// Indices of a block's two luma words and its chroma word.
fn words_of(area: Area, block: vec2<u32>) -> vec3<u32> {
    let top = 2u * block.y * area.row_words + block.x;
    return vec3(top, top + area.row_words, area.chroma_word + block.y * area.row_words + block.x);
}

// The bits of a block's words that lie inside the area; the same for luma and chroma.
fn mask_of(area: Area, block: vec2<u32>) -> u32 {
    let left = 4u * block.x;
    let right = left + 2u;
    let low = select(0u, 0x0000ffffu, left >= area.columns_px.x && left < area.columns_px.y);
    let high = select(0u, 0xffff0000u, right >= area.columns_px.x && right < area.columns_px.y);
    return low | high;
}

fn put(index: u32, word: u32, mask: u32) {
    canvas[index] = (canvas[index] & ~mask) | (word & mask);
}

// Four code values (0–255, any fraction) as a word.
fn pack_codes(codes: vec4<f32>) -> u32 {
    let whole = vec4<u32>(clamp(codes + 0.5, vec4(0.0), vec4(255.0)));
    return whole.x | (whole.y << 8u) | (whole.z << 16u) | (whole.w << 24u);
}

fn unpack_codes(word: u32) -> vec4<f32> {
    return vec4<f32>(vec4(word, word >> 8u, word >> 16u, word >> 24u) & vec4(0xffu));
}
