// Proof by trial that packed and plain arithmetic agree.
//
//     g++ -std=c++14 -O2 -I hls/src tests/hls/src/packing_proof.cpp -o packing_proof && ./packing_proof
//
// Six weights and three pixels have too many values to try them all at once; but MultiplyTaps is three MultiplyPacked,
// their sum and UnpackSum, and the parts can be tried in full:
//
//     weights  every byte becomes a weight of [-127, 127], itself where it is one
//     pairs    every pair of weights and every pixel: a product is high · pixel · 2^17 + low · pixel, and fits its
//     ports sums     every L that three products can give, with H of every remainder and at both ends: H and L come
//     back parity   every combination of the lowest two bits and signs of three weights and pixels: H is that of the
//     taps taps     MultiplyTaps as a whole, for every combination of extremes, and for many taken at random
//
// Prints a line of figures, then exits with 0, or with 1 at the first case that differs. The macros widen what the
// header allows, so that the proof can be seen to fail.
#include <cinttypes>
#include <cstdio>
#include <random>

#include "packing.hpp"

#ifndef DDI_LAST_PIXEL
#define DDI_LAST_PIXEL ddi::kMaxPackedPixel
#endif
#ifndef DDI_FIRST_WEIGHT
#define DDI_FIRST_WEIGHT -ddi::kMaxWeight
#endif
#ifndef DDI_LAST_LOW
#define DDI_LAST_LOW ddi::isa::kRowTaps* ddi::kMaxWeight* ddi::kMaxPackedPixel
#endif
#ifndef DDI_RANDOM_TAPS
#define DDI_RANDOM_TAPS 20000000
#endif

namespace {

constexpr int32_t kTaps = ddi::isa::kRowTaps;
constexpr int64_t kOne = INT64_C(1) << ddi::kPackShift;

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

// Figures of what has been tried.
struct Figures {
  int64_t weights, pairs, sums, parity, taps;
  Extremes pair, pixel, low, sum;
};

bool TryWeights(Figures& figures) {
  for (int32_t byte = INT8_MIN; byte <= INT8_MAX; ++byte) {
    const int32_t weight = ddi::ReadableWeight(int8_t(byte));
    if (weight != (byte < -ddi::kMaxWeight ? -ddi::kMaxWeight : byte)) {
      std::printf("differs: byte %d reads as %d\n", byte, weight);
      return false;
    }
    ++figures.weights;
  }
  return true;
}

bool TryPairs(Figures& figures) {
  for (int32_t high = DDI_FIRST_WEIGHT; high <= ddi::kMaxWeight; ++high) {
    for (int32_t low = DDI_FIRST_WEIGHT; low <= ddi::kMaxWeight; ++low) {
      figures.pair.Add(high * kOne + low);
      for (int32_t pixel = ddi::kMinPackedPixel; pixel <= DDI_LAST_PIXEL; ++pixel) {
        const int64_t product = int64_t(high) * pixel * kOne + low * pixel;  // in 64 bits, where nothing can overflow
        if (ddi::MultiplyPacked(high, low, pixel) != product) {
          std::printf("differs: pair (%d, %d) times %d\n", high, low, pixel);
          return false;
        }
        figures.pixel.Add(pixel);
        ++figures.pairs;
      }
    }
  }
  return true;
}

bool TrySums(Figures& figures) {
  const int64_t most = kTaps * ddi::kMaxWeight * ddi::kMaxPackedPixel;
  const int64_t middle[] = {-most, -4, most - 7};  // eight neighbours from each: every remainder, both ends
  for (int64_t low = -(DDI_LAST_LOW); low <= DDI_LAST_LOW; ++low) {
    figures.low.Add(low);
    for (int64_t first : middle) {
      for (int64_t high = first; high < first + 8; ++high) {
        const ddi::PackedSum found = ddi::UnpackSum(high * kOne + low, int32_t(high & 1));
        if (found.high + found.carry != high || found.low != low || (found.carry & ~1) != 0) {
          std::printf("differs: sums (%" PRId64 ", %" PRId64 ") come back as (%d + %d, %d)\n", high, low, found.high,
                      found.carry, found.low);
          return false;
        }
        figures.sum.Add(high * kOne + low);
        ++figures.sums;
      }
    }
  }
  return true;
}

// What the co-simulation computes: bytes widened to 16 bits, multiplied, and summed in 32 bits.
int32_t MultiplyPlain(const int8_t (&weight)[kTaps], const int16_t (&pixel)[kTaps]) {
  int32_t sum = 0;
  for (int32_t tap = 0; tap < kTaps; ++tap) sum += int32_t(weight[tap]) * int32_t(pixel[tap]);
  return sum;
}

bool TryTaps(const int8_t (&high)[kTaps], const int8_t (&low)[kTaps], const int16_t (&pixel)[kTaps], int64_t& cases) {
  const ddi::PackedSum found = ddi::MultiplyTaps(high, low, pixel);
  ++cases;
  if (found.high + found.carry == MultiplyPlain(high, pixel) && found.low == MultiplyPlain(low, pixel)) return true;
  std::printf("differs: taps (%d, %d, %d) and (%d, %d, %d) times (%d, %d, %d) give (%d + %d, %d)\n", high[0], high[1],
              high[2], low[0], low[1], low[2], pixel[0], pixel[1], pixel[2], found.high, found.carry, found.low);
  return false;
}

// Four neighbours of each sign have every combination of the two lowest bits and the sign.
bool TryParity(Figures& figures) {
  const int8_t lows[][kTaps] = {{0, 0, 0},       {1, 1, 1},          {-1, -1, -1},
                                {127, 127, 127}, {-127, -127, -127}, {127, -127, 1}};
  for (int32_t bits = 0; bits < 1 << (6 * kTaps); ++bits) {
    int8_t high[kTaps];
    int16_t pixel[kTaps];
    for (int32_t tap = 0; tap < kTaps; ++tap) {
      const int32_t weight = bits >> (6 * tap) & 7, value = bits >> (6 * tap + 3) & 7;
      high[tap] = int8_t(weight < 4 ? -127 + weight : 120 + weight);
      pixel[tap] = int16_t(value < 4 ? -128 + value : 248 + value);
    }
    for (const int8_t (&low)[kTaps] : lows) {
      if (!TryTaps(high, low, pixel, figures.parity)) return false;
    }
  }
  return true;
}

bool TryExtremeTaps(Figures& figures) {
  const int8_t weights[] = {-127, -1, 0, 1, 127};
  const int16_t pixels[] = {-128, -1, 0, 1, 127, 255};
  constexpr int32_t kWeights = 5, kPixels = 6, kTap = kWeights * kWeights * kPixels;
  for (int32_t number = 0; number < kTap * kTap * kTap; ++number) {
    int8_t high[kTaps], low[kTaps];
    int16_t pixel[kTaps];
    for (int32_t tap = 0, rest = number; tap < kTaps; ++tap, rest /= kTap) {
      high[tap] = weights[rest % kWeights];
      low[tap] = weights[rest / kWeights % kWeights];
      pixel[tap] = pixels[rest / (kWeights * kWeights) % kPixels];
    }
    if (!TryTaps(high, low, pixel, figures.taps)) return false;
  }
  return true;
}

bool TryRandomTaps(Figures& figures) {
  std::mt19937_64 random(1);
  for (int32_t number = 0; number < DDI_RANDOM_TAPS; ++number) {
    int8_t high[kTaps], low[kTaps];
    int16_t pixel[kTaps];
    uint64_t bits = random();  // 3 · (8 + 8) bits of weights; the pixels' from another
    uint64_t more = random();
    for (int32_t tap = 0; tap < kTaps; ++tap, bits >>= 16, more >>= 20) {
      high[tap] = ddi::ReadableWeight(int8_t(uint8_t(bits)));
      low[tap] = ddi::ReadableWeight(int8_t(uint8_t(bits >> 8)));
      pixel[tap] = int16_t(int32_t((more & 0xFFFFF) % 384) + ddi::kMinPackedPixel);
    }
    if (!TryTaps(high, low, pixel, figures.taps)) return false;
  }
  return true;
}

}  // namespace

int main() {
  Figures figures = {};
  const bool agrees = TryWeights(figures) && TryPairs(figures) && TrySums(figures) && TryParity(figures) &&
                      TryExtremeTaps(figures) && TryRandomTaps(figures);
  if (!agrees) return 1;
  std::printf("weights=%" PRId64 " pairs=%" PRId64 " sums=%" PRId64 " parity=%" PRId64 " taps=%" PRId64
              " pair_bits=%d pixel_bits=%d low_bits=%d sum_bits=%d\n",
              figures.weights, figures.pairs, figures.sums, figures.parity, figures.taps, Bits(figures.pair),
              Bits(figures.pixel), Bits(figures.low), Bits(figures.sum));
  return 0;
}
