// Proof by trial that packed and plain arithmetic agree: every pair of weights with every pixel.
//
//     g++ -std=c++14 -O2 -I hls/src tests/hls/packing_proof.cpp -o packing_proof && ./packing_proof
//
// Prints a line of figures, then exits with 0, or with 1 at the first pair that differs. DDI_LAST_PIXEL widens the
// pixels beyond what the header allows, so that the proof can be seen to fail.
#include <cinttypes>
#include <cstdio>

#include "packing.hpp"

#ifndef DDI_LAST_PIXEL
#define DDI_LAST_PIXEL ddi::kMaxPackedPixel
#endif

namespace {

struct Extremes {
  int64_t least, most;

  void Add(int64_t value) {
    least = value < least ? value : least;
    most = value > most ? value : most;
  }
};

// Bits of the smallest two's complement number that holds both.
int Bits(const Extremes& extremes) {
  int bits = 1;
  while (extremes.least < -(INT64_C(1) << (bits - 1)) || extremes.most >= INT64_C(1) << (bits - 1)) ++bits;
  return bits;
}

// What the co-simulation computes: a byte widened to 16 bits times an int8, summed in 32 bits.
int32_t MultiplyPlain(int8_t weight, int16_t pixel) { return int32_t(weight) * int32_t(pixel); }

}  // namespace

int main() {
  Extremes packed = {0, 0}, pixels = {0, 0}, low_products = {0, 0}, products = {0, 0};
  int64_t cases = 0;
  for (int32_t high = INT8_MIN; high <= INT8_MAX; ++high) {
    for (int32_t low = INT8_MIN; low <= INT8_MAX; ++low) {
      const int64_t pair = int64_t(high) * 65536 + low;
      packed.Add(pair);
      for (int32_t pixel = ddi::kMinPackedPixel; pixel <= DDI_LAST_PIXEL; ++pixel) {
        int32_t high_product = 0, low_product = 0;
        ddi::MultiplyPacked(high, low, pixel, high_product, low_product);
        const int64_t product = pair * pixel;  // in 64 bits, where nothing can overflow
        const int64_t sign_corrected = int16_t(product & 0xFFFF);
        const bool equal = high_product == MultiplyPlain(int8_t(high), int16_t(pixel)) &&
                           low_product == MultiplyPlain(int8_t(low), int16_t(pixel)) && low_product == sign_corrected &&
                           high_product == (product - sign_corrected) >> 16;
        if (!equal) {
          std::printf("differs: (%d, %d) times %d gives (%d, %d)\n", high, low, pixel, high_product, low_product);
          return 1;
        }
        pixels.Add(pixel);
        low_products.Add(low * pixel);
        products.Add(product);
        ++cases;
      }
    }
  }
  std::printf("cases=%" PRId64 " packed=%d pixel=%d low=%d product=%d\n", cases, Bits(packed), Bits(pixels),
              Bits(low_products), Bits(products));
  return 0;
}
