// Proof by trial that a weight times an operand is what the rows of FC and LSTM make of it, two bits at a time: every
// byte of weights and every operand. Prints how many there were; exits with 1 at the first that differs.
//
//     g++ -std=c++14 -O2 -DDDI_CHIP -I hls/src tests/hls/src/rows_proof.cpp -o rows_proof && ./rows_proof
#include <cinttypes>
#include <cstdio>

#include "chip/rows.hpp"

int main() {
  int64_t count = 0;
  for (int32_t value = INT16_MIN; value <= INT16_MAX; ++value) {
    const int16_t operand[ddi::kBanks] = {0, 0, 0, int16_t(value), 0, 0, 0, 0};
    ddi::Multiples multiples[ddi::kBanks];
    ddi::MakeMultiples(operand, multiples);
    for (int32_t weight = INT8_MIN; weight <= INT8_MAX; ++weight, ++count) {
      if (ddi::Multiply(uint64_t(uint8_t(weight)) << 24, 3, multiples) == weight * value) continue;
      std::printf("differs: %" PRId32 " times %" PRId32 "\n", weight, value);
      return 1;
    }
  }
  std::printf("products=%" PRId64 "\n", count);
  return 0;
}
