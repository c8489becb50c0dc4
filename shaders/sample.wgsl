// Reading a texture between its texels. Positions are in texels, texel i is centred at i + 0.5, edges are repeated.
// Weights are computed, not left to a sampler: samplers round them to 8 bits, each make in its own way.

const EXACT: u32 = 0u;
const BILINEAR: u32 = 1u;
const AREA: u32 = 2u;
// How texels become pixels: one to one, by four neighbours, or (minifying past 2:1) by all that a pixel covers.
override FILTER: u32;

// Cells an axis that an area average looks at; when a pixel covers more texels, a cell is several texels wide.
const AREA_CELLS: f32 = 16.0;

fn texel(t: texture_2d<f32>, at: vec2<i32>) -> vec4<f32> {
    let last = vec2<i32>(textureDimensions(t)) - 1;
    return textureLoad(t, clamp(at, vec2(0), last), 0);
}

fn bilinear(t: texture_2d<f32>, at: vec2<f32>) -> vec4<f32> {
    let low = floor(at - 0.5);
    let part = at - 0.5 - low;
    let i = vec2<i32>(low);
    let above = mix(texel(t, i), texel(t, i + vec2(1, 0)), part.x);
    let below = mix(texel(t, i + vec2(0, 1)), texel(t, i + vec2(1, 1)), part.x);
    return mix(above, below, part.y);
}

// The mean of the texels around `at` that one pixel covers, each weighted by how much of it is covered.
fn area_mean(t: texture_2d<f32>, at: vec2<f32>, texels_per_pixel: vec2<f32>) -> vec4<f32> {
    let reach = max(texels_per_pixel, vec2(1.0));
    let cell = max(ceil(reach / AREA_CELLS), vec2(1.0));
    let begin = (at - 0.5 * reach) / cell;
    let end = (at + 0.5 * reach) / cell;
    var sum = vec4(0.0);
    for (var y = floor(begin.y); y < end.y; y += 1.0) {
        let weight_y = min(y + 1.0, end.y) - max(y, begin.y);
        for (var x = floor(begin.x); x < end.x; x += 1.0) {
            let weight = weight_y * (min(x + 1.0, end.x) - max(x, begin.x));
            sum += weight * texel(t, vec2<i32>(floor((vec2(x, y) + 0.5) * cell)));
        }
    }
    let size = end - begin;
    return sum / (size.x * size.y);
}

fn sample(t: texture_2d<f32>, at: vec2<f32>, texels_per_pixel: vec2<f32>) -> vec4<f32> {
    if FILTER == EXACT {
        return texel(t, vec2<i32>(floor(at)));
    }
    if FILTER == BILINEAR {
        return bilinear(t, at);
    }
    return area_mean(t, at, texels_per_pixel);
}
