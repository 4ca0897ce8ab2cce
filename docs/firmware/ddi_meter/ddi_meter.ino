// Power meter for DDI: an INA226 (or INA219) behind any Arduino, lines of time, mV, mA over USB. See docs/power.md.
//
// Wiring: VS and SDA, SCL to the Arduino (3.3 V or 5 V as its pins are), GND to the Arduino and to the board,
// IN+ and IN- to J21 by a twisted pair of their own, VBUS to IN-. The protocol is read by host/meters/protocol.py:
//
//   # ddi-meter 1 ina226              at the start and once a second
//   # boot power-on                   why the microcontroller started
//   # error no answer from the sensor
//   123456789,11987.50,213.75*30      micros(), mV, mA, exclusive or of all characters before the star
//   123461489,11987.50,ovf*54         the sensor is at the end of its range

#include <Wire.h>

// #define SENSOR_INA219             // otherwise an INA226

static const uint8_t ADDRESS = 0x40;       // A0, A1 at GND
static const int32_t SHUNT_MILLIOHM = 10;  // J21
static const uint32_t HEADER_US = 1000000UL;
static const uint32_t SILENT_US = 100000UL;  // without a conversion: the sensor is gone

static const uint8_t REG_CONFIG = 0x00;
static const uint8_t REG_SHUNT = 0x01;
static const uint8_t REG_BUS = 0x02;

#ifdef SENSOR_INA219
static const char NAME[] = "ina219";
static const uint16_t CONFIG = 0x2557;        // 32 V, ±40 mV, mean of 4 for both (2.13 ms each), continuous
static const int32_t SHUNT_NANOVOLT = 10000;  // of one step
static const int32_t BUS_HUNDREDTHS = 400;    // 1/100 mV of one step
static const int16_t SHUNT_END = 4000;
static const uint8_t REG_POWER = 0x03;  // reading it clears the ready bit
#else
static const char NAME[] = "ina226";
static const uint16_t CONFIG = 0x42DF;  // mean of 4, 588 us for both: a sample each 4.7 ms, without dead time
static const int32_t SHUNT_NANOVOLT = 2500;
static const int32_t BUS_HUNDREDTHS = 125;
static const int16_t SHUNT_END = 32767;
static const uint8_t REG_READY = 0x06;
static const uint16_t READY_BIT = 0x0008;  // reading it clears it
#endif

static uint32_t last_header_us;
static uint32_t last_sample_us;

static bool WriteRegister(uint8_t reg, uint16_t value) {
  Wire.beginTransmission(ADDRESS);
  Wire.write(reg);
  Wire.write((uint8_t)(value >> 8));
  Wire.write((uint8_t)(value & 0xFF));
  return Wire.endTransmission() == 0;
}

static bool ReadRegister(uint8_t reg, uint16_t* value) {
  Wire.beginTransmission(ADDRESS);
  Wire.write(reg);
  if (Wire.endTransmission() != 0) return false;
  if (Wire.requestFrom(ADDRESS, (uint8_t)2) != 2) return false;
  const uint16_t high = (uint16_t)Wire.read();
  *value = (uint16_t)((high << 8) | (uint16_t)Wire.read());
  return true;
}

// Appends `value` / 100 with two decimals; the end of the text.
static char* AppendHundredths(char* at, int32_t value) {
  uint32_t rest = value < 0 ? (uint32_t)(-value) : (uint32_t)value;
  char digits[12];
  uint8_t count = 0;
  do {
    digits[count++] = (char)('0' + rest % 10);
    rest /= 10;
  } while (rest != 0 || count < 3);
  if (value < 0) *at++ = '-';
  while (count > 2) *at++ = digits[--count];
  *at++ = '.';
  while (count > 0) *at++ = digits[--count];
  return at;
}

static char* AppendCount(char* at, uint32_t value) {
  char digits[12];
  uint8_t count = 0;
  do {
    digits[count++] = (char)('0' + value % 10);
    value /= 10;
  } while (value != 0);
  while (count > 0) *at++ = digits[--count];
  return at;
}

static void SendSample(uint32_t time_us, int32_t bus_hundredths, int32_t current_hundredths, bool overflow) {
  static const char HEX_DIGITS[] = "0123456789ABCDEF";
  char line[48];
  char* at = AppendCount(line, time_us);
  *at++ = ',';
  at = AppendHundredths(at, bus_hundredths);
  *at++ = ',';
  if (overflow) {
    *at++ = 'o';
    *at++ = 'v';
    *at++ = 'f';
  } else {
    at = AppendHundredths(at, current_hundredths);
  }
  uint8_t sum = 0;
  for (const char* c = line; c != at; ++c) sum ^= (uint8_t)*c;
  *at++ = '*';
  *at++ = HEX_DIGITS[sum >> 4];
  *at++ = HEX_DIGITS[sum & 15];
  *at++ = '\n';
  Serial.write((const uint8_t*)line, (size_t)(at - line));
}

static void SendHeader() {
  Serial.print("# ddi-meter 1 ");
  Serial.print(NAME);
  Serial.print("\n");
}

static const char* BootReason() {
#if defined(__AVR__) && defined(MCUSR)
  const uint8_t flags = MCUSR;
  MCUSR = 0;
  if (flags & _BV(BORF)) return "brown-out";
  if (flags & _BV(WDRF)) return "watchdog";
  if (flags & _BV(PORF)) return "power-on";
#endif
  return "reset";
}

// True when a new conversion is there; `ok` is false when the sensor does not answer.
static bool ConversionReady(bool* ok) {
  uint16_t value = 0;
#ifdef SENSOR_INA219
  *ok = ReadRegister(REG_BUS, &value);
  return *ok && (value & 0x0002) != 0;
#else
  *ok = ReadRegister(REG_READY, &value);
  return *ok && (value & READY_BIT) != 0;
#endif
}

void setup() {
  const char* reason = BootReason();
  Serial.begin(115200);
  Wire.begin();
  Wire.setClock(400000);
  SendHeader();
  Serial.print("# boot ");
  Serial.print(reason);
  Serial.print("\n");
  WriteRegister(REG_CONFIG, CONFIG);
  last_header_us = last_sample_us = micros();
}

void loop() {
  bool ok = true;
  if (ConversionReady(&ok)) {
    const uint32_t now_us = micros();
    uint16_t shunt = 0;
    uint16_t bus = 0;
    ok = ReadRegister(REG_SHUNT, &shunt) && ReadRegister(REG_BUS, &bus);
#ifdef SENSOR_INA219
    uint16_t ignored = 0;
    ok = ReadRegister(REG_POWER, &ignored) && ok;
    bus >>= 3;
#endif
    if (ok) {
      const int16_t raw = (int16_t)shunt;
      const bool overflow = raw >= SHUNT_END || raw <= -SHUNT_END;
      const int32_t current = (int32_t)raw * (SHUNT_NANOVOLT / 10) / SHUNT_MILLIOHM;  // 1/100 mA
      SendSample(now_us, (int32_t)bus * BUS_HUNDREDTHS, current, overflow);
      last_sample_us = now_us;
    }
  }
  if (micros() - last_sample_us > SILENT_US) {
    Serial.print("# error no answer from the sensor\n");
    WriteRegister(REG_CONFIG, CONFIG);  // it may have lost its supply, and with it what was set
    last_sample_us = micros();
  }
  if (micros() - last_header_us > HEADER_US) {
    SendHeader();
    last_header_us = micros();
  }
}
