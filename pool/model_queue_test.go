package pool

import (
	"context"
	"errors"
	"time"
)

// mayFail reports whether g had a reason of its own to fail.
func (m *model) mayFail(g *mGet) bool {
	var gaveUp *WaitError
	switch {
	case g.err == context.DeadlineExceeded:
		return !g.deadline.IsZero() && time.Until(g.deadline) <= 0
	case !errors.As(g.err, &gaveUp):
		return false
	case gaveUp.Need == 0:
		return gaveUp.Waited == m.cfg.WaitTimeout && time.Since(g.since) >= gaveUp.Waited
	}
	// Passed over, for one who came later.
	return !g.deadline.IsZero() && gaveUp.Left < gaveUp.Need && gaveUp.Waiting > 0
}
