// How bright a picture is: for each cell of a grid over it, the sum of a few samples of luma. Needs canvas.wgsl.
//
// A work group is a cell, an invocation a sample. Sums are whole numbers, so their order does not matter.

const COLUMNS: u32 = 32u;
const ROWS: u32 = 18u;
// Samples of a cell along each side.
const SIDE: u32 = 4u;

struct LumaParams {
    size_px: vec2<u32>,
    // Where the grid begins in the output.
    first_word: u32,
    // From one row of a canvas to the next.
    row_words: u32,
    // What a texel is that reads 1.
    full: f32,
}

var<immediate> params: LumaParams;

// A picture as it was uploaded, or a finished canvas.
@group(1) @binding(0) var source_y: texture_2d<f32>;
@group(1) @binding(0) var<storage, read> whole: array<u32>;

var<workgroup> sum: atomic<u32>;

// The pixel in the middle of this sample's share of the picture.
fn pixel(cell: vec2<u32>, sample: vec2<u32>) -> vec2<u32> {
    let index = cell * SIDE + sample;
    return (2u * index + 1u) * params.size_px / (2u * SIDE * vec2(COLUMNS, ROWS));
}

fn add(cell: vec2<u32>, index: u32, code: u32) {
    if index == 0u {
        atomicStore(&sum, 0u);
    }
    workgroupBarrier();
    atomicAdd(&sum, code);
    workgroupBarrier();
    if index == 0u {
        canvas[params.first_word + cell.y * COLUMNS + cell.x] = atomicLoad(&sum);
    }
}

@compute @workgroup_size(4, 4)
fn luma_source(
    @builtin(workgroup_id) cell: vec3<u32>,
    @builtin(local_invocation_id) sample: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let texel = textureLoad(source_y, pixel(cell.xy, sample.xy), 0).r;
    add(cell.xy, index, u32(params.full * texel + 0.5));
}

@compute @workgroup_size(4, 4)
fn luma_canvas(
    @builtin(workgroup_id) cell: vec3<u32>,
    @builtin(local_invocation_id) sample: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let at = pixel(cell.xy, sample.xy);
    let word = whole[at.y * params.row_words + at.x / 4u];
    add(cell.xy, index, (word >> (8u * (at.x & 3u))) & 0xffu);
}
