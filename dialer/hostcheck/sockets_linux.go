package hostcheck

import (
	"context"
	"errors"
	"fmt"
)

// each calls visit with every socket that the filter asks for, until it returns
// false. The Socket is only valid during the call.
func each(ctx context.Context, f Filter, visit func(*Socket) bool) (origin, error) {
	visited := false
	diagErr := eachDiag(ctx, &f, func(s *Socket) bool {
		visited = true
		return visit(s)
	})
	// After the first socket it is too late to begin again.
	if diagErr == nil || visited || ctx.Err() != nil || errors.Is(diagErr, errInterrupted) {
		return origin{name: "sock_diag"}, diagErr
	}
	if err := eachProc(ctx, &f, visit); err != nil {
		return origin{}, fmt.Errorf("%w; and instead of it: %w", diagErr, err)
	}
	return origin{name: "/proc/net/tcp", fallback: diagErr}, nil
}
