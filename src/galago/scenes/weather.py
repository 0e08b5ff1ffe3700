"""Light, sky and the old dashboard camera of a drawn street scene."""

import cv2
import numpy as np

from galago.scenes.canvas import ROAD, SIDEWALK, SKY, Camera, Canvas, Light, fractal_noise

REFERENCE_HEIGHT = 360  # blur and artefacts are set for photos of this height
GRAIN_SIDE = 256  # of the noise that is laid onto the ground
SUNNY, OVERCAST, DUSK = "sunny", "overcast", "dusk"
WEATHER_SHARES = {SUNNY: 0.5, OVERCAST: 0.37, DUSK: 0.13}


def draw_light(rng: np.random.Generator) -> Light:
    """Choose weather and time of day."""
    weather = rng.choice(list(WEATHER_SHARES), p=list(WEATHER_SHARES.values()))
    elevation, azimuth = np.radians(rng.uniform(12, 50)), rng.uniform(0, 2 * np.pi)
    sun = np.array(
        [
            np.cos(elevation) * np.sin(azimuth),
            np.sin(elevation),
            np.cos(elevation) * np.cos(azimuth),
        ]
    )
    if weather == SUNNY:
        warm = np.array([1.0, rng.uniform(0.9, 0.98), rng.uniform(0.72, 0.92)])
        cool = np.array([0.92, 0.98, rng.uniform(1.02, 1.15)])
        sunlight, skylight = warm * rng.uniform(0.6, 1.15), cool * rng.uniform(0.45, 0.68)
        haze = np.array([222, 230, 238.0])
        return Light(sun, sunlight, skylight, haze, rng.uniform(150, 500), False)
    gray = np.array([0.97, 1.0, rng.uniform(0.98, 1.06)])
    if weather == OVERCAST:
        return Light(
            sun,
            gray * 0.08,
            gray * rng.uniform(0.55, 0.85),
            gray * rng.uniform(195, 235),
            rng.uniform(70, 350),
            False,
        )
    blue = np.array([rng.uniform(0.9, 1.0), 1.0, rng.uniform(1.0, 1.12)])
    return Light(
        sun,
        blue * 0.05,
        blue * rng.uniform(0.38, 0.55),
        blue * rng.uniform(130, 185),
        rng.uniform(150, 400),
        True,
    )


def draw_sky(canvas: Canvas) -> None:
    """Fill the canvas with a sky: bright at the horizon, clouds above."""
    rng, light, (height, width) = canvas.rng, canvas.light, canvas.size
    small = (max(8, height // 8), max(8, width // 8))
    horizon = max(1.0, canvas.camera.horizon_y * small[0] / height)
    rise = np.clip(1 - np.arange(small[0], dtype=np.float32) / horizon, 0, 1)[
        :, None, None
    ]  # 0 at the horizon, 1 on top
    if light.is_night:
        low, top = light.haze * rng.uniform(1.1, 1.4), light.haze * rng.uniform(0.75, 1.2)
    else:
        low, top = (
            np.minimum(light.haze * 1.15, 255),
            light.haze * rng.uniform((0.74, 0.86, 0.97), (1.1, 1.12, 1.12)),
        )
    clouds = fractal_noise(rng, small, cells=4, octaves=4)[..., None]
    stretch = np.linspace(1.4, 0.4, small[0], dtype=np.float32)[
        :, None, None
    ]  # clouds flatten towards the horizon
    cover = np.clip(0.5 + rng.uniform(-0.6, 0.6) + rng.uniform(0.1, 0.5) * clouds * stretch, 0, 1)
    cloud_color = light.haze * rng.uniform(0.95, 1.25) + clouds * rng.uniform(2, 14)
    sky = (low * (1 - rise) + top * rise) * (1 - cover) + cloud_color * cover
    sky = cv2.resize(
        np.clip(sky, 0, 255).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC
    )
    canvas.image[:] = np.clip(sky, 0, 255)


def roughen_ground(
    image: np.ndarray, labels: np.ndarray, camera: Camera, rng: np.random.Generator
) -> np.ndarray:
    """Lay grain, stains, wheel tracks and paving joints onto road and sidewalk, in perspective.

    Args:
        image: (H, W, 3) uint8 RGB.
        labels: (H, W) uint8.
        camera: in pixels of this image.
        rng: where chance comes from.
    Returns:
        (H, W, 3) uint8 RGB.
    """
    height, width = labels.shape
    top = min(height - 1, max(0, int(camera.horizon_y) + 2))
    rows = np.arange(top, height, dtype=np.float32)[:, None]
    depth = camera.focal_px * camera.height_m / np.maximum(rows - camera.horizon_y, 0.5)
    across = (
        np.arange(width, dtype=np.float32)[None] - camera.center_x
    ) * depth / camera.focal_px + 100
    depth = np.broadcast_to(depth, across.shape)
    texture = fractal_noise(rng, (GRAIN_SIDE, GRAIN_SIDE), cells=40, octaves=3)
    stains = fractal_noise(rng, (GRAIN_SIDE, GRAIN_SIDE), cells=16, octaves=3)
    fade = np.exp(-depth[:, :1] / 18)
    grain = _lookup(texture, across * 75, depth * 75) * fade * rng.uniform(0.04, 0.1)
    grain += _lookup(stains, across * 10, depth * 2.2) * rng.uniform(
        0.01, 0.05
    )  # drawn out along the road by wheels
    grain += _lookup(stains, across * 4 + 90, depth * 4) * rng.uniform(0.01, 0.04)
    part = labels[top:]
    slab = rng.uniform(0.4, 0.9)
    joint = ((across % slab < 0.045) | (depth % slab < 0.07)) & (depth < 16)
    grain[joint & (part == SIDEWALK)] -= rng.uniform(0.05, 0.25)
    factor = np.where((part == ROAD) | (part == SIDEWALK), 1 + grain, 1).astype(np.float32)
    result = image.copy()
    result[top:] = cv2.multiply(image[top:], cv2.merge([factor] * 3), dtype=cv2.CV_8U)
    return result


def _lookup(texture: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return cv2.remap(
        texture,
        x.astype(np.float32),
        y.astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT,
    )


def photograph(
    image: np.ndarray, labels: np.ndarray, light: Light, rng: np.random.Generator
) -> np.ndarray:
    """Take the photo with an old camera: glare, vignette, contrast, color cast, blur, noise and
    JPEG artefacts.

    Args:
        image: (H, W, 3) uint8 RGB.
        labels: (H, W) uint8; the sky among them glares.
        light: of the scene.
        rng: where chance comes from.
    Returns:
        (H, W, 3) uint8 RGB.
    """
    height, width = labels.shape
    scale = height / REFERENCE_HEIGHT
    photo = image + _glare(image, labels) * np.float32(rng.uniform(0.02, 0.16))
    cast = rng.uniform(0.96, 1.04, 3) * rng.uniform(0.85, 1.15)
    photo = photo * (_vignette((height, width), rng)[..., None] * cast.astype(np.float32))
    blurred = cv2.GaussianBlur(photo, (0, 0), max(0.2, rng.uniform(0.25, 1.0) * scale))
    if rng.random() < 0.15:  # the car shakes
        length = 2 * round(rng.uniform(0.5, 2.0) * scale) + 1
        blurred = cv2.blur(blurred, (length, 1) if rng.random() < 0.5 else (1, length))
    noise = rng.standard_normal((height, width, 1), dtype=np.float32) * rng.uniform(1.0, 5.0)
    color_noise = rng.standard_normal(
        ((height + 1) // 2, (width + 1) // 2, 3), dtype=np.float32
    ) * rng.uniform(1.0, 5.0)
    noisy = (
        blurred + noise + cv2.resize(color_noise, (width, height), interpolation=cv2.INTER_LINEAR)
    )
    toned = cv2.LUT(np.clip(noisy, 0, 255).astype(np.uint8), _tone_curve(rng))
    return _recompress(toned, int(rng.integers(45, 93)))


def _glare(image: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the light that the sky spills over its surroundings: (H, W, 3) float32."""
    height, width = labels.shape
    sky = cv2.copyTo(image, (labels == SKY).astype(np.uint8))
    small = cv2.resize(sky, (max(1, width // 8), max(1, height // 8)), interpolation=cv2.INTER_AREA)
    spilled = cv2.GaussianBlur(small, (0, 0), max(1.0, height / 80))
    return cv2.resize(spilled, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.float32)


def _vignette(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Return the loss of light towards the corners: (H, W) float32."""
    y = np.linspace(-1, 1, size[0], dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, size[1], dtype=np.float32)[None]
    loss: np.ndarray = 1 - np.float32(rng.uniform(0.03, 0.16)) * (x * x + y * y)
    return loss


def _tone_curve(rng: np.random.Generator) -> np.ndarray:
    """Return a table that darkens shadows and burns out highlights: (256,) uint8."""
    value = np.arange(256) / 255
    curve = value ** rng.uniform(0.95, 1.25)
    contrast = rng.uniform(0.0, 0.5)
    curve = (1 - contrast) * curve + contrast * (3 * curve**2 - 2 * curve**3)
    table: np.ndarray = np.clip(255 * curve * rng.uniform(1.0, 1.12), 0, 255).astype(np.uint8)
    return table


def _recompress(image: np.ndarray, quality: int) -> np.ndarray:
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    photo = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert photo is not None
    return photo
