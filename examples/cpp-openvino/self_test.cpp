// Label a model folder's golden photo with OpenVINO, and compare with what was trained.
//
//     self_test FOLDER
//
// Exit code 0: the same; 1: not the same, or the folder cannot be used; 2: misused.

#include <openvino/openvino.hpp>
#include <png.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace fs = std::filesystem;

struct Image {
    size_t height, width;
    std::vector<uint8_t> bytes;  // rows from the top; RGB, or one class id a pixel
};

struct Logits {
    size_t classes, height, width;
    std::vector<float> values;  // (K, h, w)

    const float* row(size_t k, size_t y) const { return &values[(k * height + y) * width]; }
};

// The two logits around a pixel along one axis, and how much the second one counts.
struct Neighbors {
    size_t first, second;
    float share;
};

struct Tolerance {
    double logits;  // largest relative L2 error
    double labels;  // smallest share of pixels with the same label
};

std::string read_file(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error("cannot read " + path.string());
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

// The string or number at a key of model.json. A program that has a JSON library uses that.
std::string value_of(const std::string& json, const std::string& key) {
    std::smatch found;
    if (!std::regex_search(json, found, std::regex("\"" + key + "\": \"?([^\",\\n}]+)")))
        throw std::runtime_error("model.json has no " + key);
    return found[1];
}

void expect(const std::string& json, const std::string& key, const std::string& known) {
    if (value_of(json, key) != known)
        throw std::runtime_error(key + " is " + value_of(json, key) + "; this program knows " + known);
}

// How near a file of one precision has to come. The golden logits are those of the float32 network.
Tolerance tolerance_of(const std::string& precision) {
    if (precision == "float32") return {1e-4, 0.9999};  // the same sums in another order
    if (precision == "float16") return {1e-2, 0.995};
    if (precision == "int8") return {3e-1, 0.95};
    throw std::runtime_error("precision is " + precision + "; this program knows float32, float16, int8");
}

// Decode a photo (format PNG_FORMAT_RGB), or the class ids of an indexed PNG (PNG_FORMAT_RGB_COLORMAP).
Image read_png(const fs::path& path, png_uint_32 format) {
    png_image png{};
    png.version = PNG_IMAGE_VERSION;
    if (!png_image_begin_read_from_file(&png, path.string().c_str()))
        throw std::runtime_error(path.string() + ": " + png.message);
    png.format = format;
    Image image{png.height, png.width, std::vector<uint8_t>(PNG_IMAGE_SIZE(png))};
    std::vector<uint8_t> colors(256 * 3);
    if (!png_image_finish_read(&png, nullptr, image.bytes.data(), 0, colors.data()))
        throw std::runtime_error(path.string() + ": " + png.message);
    return image;
}

// Read (K, h, w) float32 from a .npy file: magic, version, length of the header as two bytes, header, numbers.
Logits read_npy(const fs::path& path) {
    const std::string data = read_file(path);
    std::smatch shape;
    const size_t start = data.size() < 10 ? 0 : 10 + uint8_t(data[8]) + 256 * uint8_t(data[9]);
    const std::string header = data.substr(0, start);
    static const std::regex known("'<f4', 'fortran_order': False, 'shape': \\((\\d+), (\\d+), (\\d+)\\)");
    if (!std::regex_search(header, shape, known)) throw std::runtime_error(path.string() + " is no (K, h, w) float32 array");
    Logits logits{std::stoul(shape[1]), std::stoul(shape[2]), std::stoul(shape[3]), {}};
    logits.values.resize(logits.classes * logits.height * logits.width);
    if (data.size() - start != logits.values.size() * sizeof(float)) throw std::runtime_error(path.string() + " is cut short");
    std::copy_n(data.data() + start, data.size() - start, reinterpret_cast<char*>(logits.values.data()));
    return logits;
}

// Run the network on one photo, in float32: where the CPU has bfloat16, OpenVINO would take that by itself.
Logits run(const fs::path& folder, Image& photo) {
    const fs::path ir = folder / "model.xml", onnx = folder / "model.onnx";
    ov::Core core;
    auto compiled = core.compile_model((fs::exists(ir) ? ir : onnx).string(), "CPU",
                                       ov::hint::inference_precision(ov::element::f32));
    auto request = compiled.create_infer_request();
    request.set_input_tensor({ov::element::u8, {1, photo.height, photo.width, 3}, photo.bytes.data()});
    request.infer();
    const ov::Tensor output = request.get_output_tensor();
    const ov::Shape shape = output.get_shape();  // (1, K, h, w)
    const float* values = output.data<const float>();
    return {shape[1], shape[2], shape[3], {values, values + output.get_size()}};
}

// Half-pixel centers, borders repeated; `stride` pixels to a logit.
std::vector<Neighbors> neighbors(size_t pixels, size_t logits, size_t stride) {
    std::vector<Neighbors> found;
    const auto inside = [logits](double place) { return size_t(std::clamp(place, 0.0, double(logits - 1))); };
    for (size_t pixel = 0; pixel < pixels; ++pixel) {
        const double place = (pixel + 0.5) / stride - 0.5, before = std::floor(place);
        found.push_back({inside(before), inside(before + 1), float(place - before)});
    }
    return found;
}

// Interpolate the logits bilinearly to the photo's size, and take the largest; the smallest id wins a tie.
std::vector<uint8_t> label_map(const Logits& logits, size_t height, size_t width, size_t stride) {
    const auto rows = neighbors(height, logits.height, stride), columns = neighbors(width, logits.width, stride);
    std::vector<uint8_t> labels(height * width);
    std::vector<float> best(width);
    for (size_t y = 0; y < height; ++y) {
        const auto [top, bottom, down] = rows[y];
        std::fill(best.begin(), best.end(), -INFINITY);
        for (size_t k = 0; k < logits.classes; ++k) {
            const float *above = logits.row(k, top), *below = logits.row(k, bottom);
            for (size_t x = 0; x < width; ++x) {
                const auto [left, right, across] = columns[x];
                const float first = above[left] * (1 - down) + below[left] * down;
                const float second = above[right] * (1 - down) + below[right] * down;
                const float score = first * (1 - across) + second * across;
                if (score > best[x]) best[x] = score, labels[y * width + x] = uint8_t(k);
            }
        }
    }
    return labels;
}

double relative_error(const Logits& given, const Logits& expected) {
    if (given.classes != expected.classes || given.height != expected.height || given.width != expected.width)
        throw std::runtime_error("the logits have another shape than golden/logits.npy");
    double difference = 0, norm = 0;
    for (size_t i = 0; i < given.values.size(); ++i) {
        difference += std::pow(double(given.values[i]) - expected.values[i], 2);
        norm += std::pow(double(expected.values[i]), 2);
    }
    return std::sqrt(difference / norm);
}

bool passes(const fs::path& folder) {
    const std::string json = read_file(folder / "model.json");
    if (value_of(json, "schema_version") != "1") expect(json, "schema_version", "2");
    expect(json, "output", "logits");
    expect(json, "upsampling", "bilinear");
    const Tolerance allowed = tolerance_of(value_of(json, "precision"));

    Image photo = read_png(folder / "golden/photo.png", PNG_FORMAT_RGB);  // its sides are multiples of 32: no padding
    const Image expected = read_png(folder / "golden/labels.png", PNG_FORMAT_RGB_COLORMAP);
    const Logits logits = run(folder, photo);
    const auto labels = label_map(logits, photo.height, photo.width, std::stoul(value_of(json, "output_stride")));

    if (expected.bytes.size() != labels.size()) throw std::runtime_error("golden/labels.png has another size than the photo");
    size_t equal = 0;
    for (size_t i = 0; i < labels.size(); ++i) equal += labels[i] == expected.bytes[i];
    const double error = relative_error(logits, read_npy(folder / "golden/logits.npy")), share = double(equal) / labels.size();
    std::printf("%s, %s\n", value_of(json, "name").c_str(), value_of(json, "precision").c_str());
    std::printf("logits: relative error %.1e, at most %.0e allowed\n", error, allowed.logits);
    std::printf("labels: %.3f%% of %zu pixels equal, at least %.2f%% needed\n", 100 * share, labels.size(), 100 * allowed.labels);
    return error <= allowed.logits && share >= allowed.labels;  // nan fails
}

int main(int count, char** arguments) {
    if (count != 2) {
        std::fprintf(stderr, "usage: self_test FOLDER\n");
        return 2;
    }
    try {
        if (passes(arguments[1])) return std::puts("PASS"), 0;
        std::fprintf(stderr, "FAIL: this host does not give what was trained.\n");
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "FAIL: %s\n", problem.what());
    }
    return 1;
}
