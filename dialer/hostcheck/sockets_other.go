//go:build !linux

package hostcheck

import (
	"context"
	"errors"
	"fmt"
	"runtime"
)

var errNoCensus = fmt.Errorf("hostcheck: sockets are counted on Linux only, not on %s: %w", runtime.GOOS, errors.ErrUnsupported)

func each(context.Context, Filter, func(*Socket) bool) (origin, error) {
	return origin{}, errNoCensus
}

func readStat() (Stat, error) { return Stat{}, errNoCensus }
