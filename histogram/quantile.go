package histogram

import (
	"bytes"
	"math"
	"math/big"
	"strconv"
)

// Bracket is a value known to the width of its bucket, in nanoseconds:
// Low ≤ true value ≤ High. Value is the one to report: the highest of the
// bucket, as every HdrHistogram implementation reports it, less than 0.1 %
// above the true value. Values above Highest were counted as Highest.
type Bracket struct{ Value, Low, High int64 }

// Quantile brackets the value at rank ⌈q·n⌉ of the n values counted, exactly:
// its bucket is the one that holds the value in that place when all of them are
// sorted. q is the decimal number it prints as, so that 0.95 of 20 is the
// 19th and 0.07 of 100 the 7th, whatever their binary fractions multiply to. It
// is clamped to [0, 1], and the rank is at least 1. False when c is empty or
// q is not a number.
func (c *Counts) Quantile(q float64) (Bracket, bool) {
	if c.total == 0 || math.IsNaN(q) {
		return Bracket{}, false
	}
	return c.at(rank(q, c.total)), true
}

// Max brackets the largest value; the zero Bracket when c is empty.
func (c *Counts) Max() Bracket {
	if c.total == 0 {
		return Bracket{}
	}
	return c.at(c.total)
}

// at is the bracket of the value at rank, which is from 1 to the total.
func (c *Counts) at(rank uint64) Bracket {
	var below uint64
	for i, l := range c.leaves {
		if l == nil {
			continue
		}
		n := l.sum()
		if below+n < rank {
			below += n
			continue
		}
		for j := range leafSize {
			if below += l.at(j); below >= rank {
				low, high := bucketBounds(i*leafSize + j)
				return Bracket{Value: high, Low: low, High: high}
			}
		}
	}
	return Bracket{}
}

func (l *leaf) sum() uint64 {
	var n uint64
	for _, low := range l.low {
		n += uint64(low)
	}
	if l.high != nil {
		for _, high := range l.high {
			n += uint64(high) << 32
		}
	}
	return n
}

// rank is ⌈q·n⌉, at least 1 and at most n. The shortest decimal that is the
// float64 q is an integer over a power of ten, so the product and its ceiling
// are exact in integers.
func rank(q float64, n uint64) uint64 {
	if q <= 0 {
		return 1
	}
	if q >= 1 {
		return n
	}
	// d.ddde-xx: the digits without the point, over ten to the xx and one more for
	// each digit behind it.
	mantissa, exponent, _ := bytes.Cut(strconv.AppendFloat(nil, q, 'e', -1, 64), []byte("e-"))
	whole, fraction, _ := bytes.Cut(mantissa, []byte("."))
	numerator, _ := strconv.ParseUint(string(whole)+string(fraction), 10, 64)
	places, _ := strconv.Atoi(string(exponent))
	places += len(fraction)

	product := new(big.Int).Mul(new(big.Int).SetUint64(numerator), new(big.Int).SetUint64(n))
	power := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(places)), nil)
	quotient, rest := product.QuoRem(product, power, new(big.Int))
	r := quotient.Uint64()
	if rest.Sign() != 0 {
		r++
	}
	return max(r, 1)
}
