package health

import (
	"fmt"
	"strconv"
)

// millis and percent print numbers for people: three significant figures
// where there is a fraction, none dropped before the decimal point.
func millis(v float64) string { return figures(v) + " ms" }

func percent(share float64) string { return figures(share*100) + " %" }

func figures(v float64) string {
	if v >= 100 || v <= -100 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

func times(factor float64) string { return fmt.Sprintf("%g times", factor) }

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
