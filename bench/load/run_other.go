//go:build !linux

package load

import (
	"context"
	"errors"
)

// Run needs Linux.
func Run(context.Context, Plan) (Result, error) {
	return Result{}, errors.New("generating load needs Linux")
}
