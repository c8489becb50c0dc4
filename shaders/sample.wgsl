// Reading a window of a texture between its texels. Positions are in texels, texel i is centred at i + 0.5; the window's
// edges are repeated, and nothing outside of it is read.
// Weights are computed, not left to a sampler: samplers round them to 8 bits, each make in its own way.

const EXACT: u32 = 0u;
const BILINEAR: u32 = 1u;
const AREA: u32 = 2u;
const BICUBIC: u32 = 3u;
const LANCZOS: u32 = 4u;
// How texels become pixels: one to one, by four neighbours, by all that a pixel covers (where it covers more than one),
// or, magnifying, by 4 × 4 or 6 × 6 neighbours.
override FILTER: u32;

// Cells an axis that an area average looks at; when a pixel covers more texels, a cell is several texels wide.
const AREA_CELLS: f32 = 16.0;

// The cubic of Mitchell and Netravali with B = 0 and this C, as FFmpeg's `bicubic` has it; Catmull and Rom's is 0.5.
const CUBIC_C: f32 = 0.6;

const THIRD_PI: f32 = 1.0471975512;

// First and last texel.
struct Window {
    first: vec2<i32>,
    last: vec2<i32>,
}

fn texel(t: texture_2d<f32>, window: Window, at: vec2<i32>) -> vec4<f32> {
    return textureLoad(t, clamp(at, window.first, window.last), 0);
}

fn bilinear(t: texture_2d<f32>, window: Window, at: vec2<f32>) -> vec4<f32> {
    let low = floor(at - 0.5);
    let part = at - 0.5 - low;
    let i = vec2<i32>(low);
    let above = mix(texel(t, window, i), texel(t, window, i + vec2(1, 0)), part.x);
    let below = mix(texel(t, window, i + vec2(0, 1)), texel(t, window, i + vec2(1, 1)), part.x);
    return mix(above, below, part.y);
}

// The mean of the texels around `at` that one pixel covers, each weighted by how much of it is covered.
fn area_mean(
    t: texture_2d<f32>,
    window: Window,
    at: vec2<f32>,
    texels_per_pixel: vec2<f32>,
) -> vec4<f32> {
    let reach = max(texels_per_pixel, vec2(1.0));
    let cell = max(ceil(reach / AREA_CELLS), vec2(1.0));
    let begin = (at - 0.5 * reach) / cell;
    let end = (at + 0.5 * reach) / cell;
    var sum = vec4(0.0);
    for (var y = floor(begin.y); y < end.y; y += 1.0) {
        let weight_y = min(y + 1.0, end.y) - max(y, begin.y);
        for (var x = floor(begin.x); x < end.x; x += 1.0) {
            let weight = weight_y * (min(x + 1.0, end.x) - max(x, begin.x));
            sum += weight * texel(t, window, vec2<i32>(floor((vec2(x, y) + 0.5) * cell)));
        }
    }
    let size = end - begin;
    return sum / (size.x * size.y);
}

// Weights of the texels at −1, 0, 1 and 2 for a position `part` of the way from 0 to 1.
fn cubic_weights(part: f32) -> vec4<f32> {
    let near = vec2(part, 1.0 - part);
    let far = near + 1.0;
    let inner = ((2.0 - CUBIC_C) * near + (CUBIC_C - 3.0)) * near * near + 1.0;
    let outer = -CUBIC_C * (((far - 5.0) * far + 8.0) * far - 4.0);
    return vec4(outer.x, inner, outer.y);
}

fn bicubic(t: texture_2d<f32>, window: Window, at: vec2<f32>) -> vec4<f32> {
    let low = floor(at - 0.5);
    let part = at - 0.5 - low;
    let first = vec2<i32>(low) - 1;
    let across = cubic_weights(part.x);
    let down = cubic_weights(part.y);
    var sum = vec4(0.0);
    for (var y = 0; y < 4; y++) {
        for (var x = 0; x < 4; x++) {
            sum += down[y] * across[x] * texel(t, window, first + vec2(x, y));
        }
    }
    return sum;
}

// Weights of the texels at −2 to 3 for a position `part` of the way from 0 to 1: sin πd · sin(πd / 3) / d², brought to a
// sum of 1. Their distances d differ by whole numbers, so sin πd is the same for all of them but for its sign.
fn lanczos_weights(part: f32) -> array<f32, 6> {
    // No nearer than this, or the nearest weight is infinite; it is all but 1 there already.
    let left = max(vec3(2.0, 1.0, 0.0) + part, vec3(1e-4));
    let right = max(vec3(1.0, 2.0, 3.0) - part, vec3(1e-4));
    let before = vec3(1.0, -1.0, 1.0) * sin(THIRD_PI * left) / (left * left);
    let after = vec3(1.0, -1.0, 1.0) * sin(THIRD_PI * right) / (right * right);
    let all = dot(before + after, vec3(1.0));
    let b = before / all;
    let a = after / all;
    return array(b.x, b.y, b.z, a.x, a.y, a.z);
}

fn lanczos(t: texture_2d<f32>, window: Window, at: vec2<f32>) -> vec4<f32> {
    let low = floor(at - 0.5);
    let part = at - 0.5 - low;
    let first = vec2<i32>(low) - 2;
    var across = lanczos_weights(part.x);
    var down = lanczos_weights(part.y);
    var sum = vec4(0.0);
    for (var y = 0; y < 6; y++) {
        for (var x = 0; x < 6; x++) {
            sum += down[y] * across[x] * texel(t, window, first + vec2(x, y));
        }
    }
    return sum;
}

fn sample_by(
    filtered: u32,
    t: texture_2d<f32>,
    window: Window,
    at: vec2<f32>,
    texels_per_pixel: vec2<f32>,
) -> vec4<f32> {
    switch filtered {
        case EXACT: { return texel(t, window, vec2<i32>(floor(at))); }
        case BILINEAR: { return bilinear(t, window, at); }
        case BICUBIC: { return bicubic(t, window, at); }
        case LANCZOS: { return lanczos(t, window, at); }
        default: { return area_mean(t, window, at, texels_per_pixel); }
    }
}

// The whole texture, by FILTER.
fn sample(t: texture_2d<f32>, at: vec2<f32>, texels_per_pixel: vec2<f32>) -> vec4<f32> {
    let whole = Window(vec2(0), vec2<i32>(textureDimensions(t)) - 1);
    return sample_by(FILTER, t, whole, at, texels_per_pixel);
}
