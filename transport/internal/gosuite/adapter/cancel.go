package adapter

import (
	"net/http"
	"os"
	"sync"
)

// CancelVariable names the environment variable that, when not empty, gives
// Adapter.CancelRequest something to do.
const CancelVariable = "STAYOPEN_GOSUITE_CANCELREQUEST"

// Stayopen has no CancelRequest, which net/http has deprecated since Go 1.5 in
// favor of Request.Cancel and contexts. Tests that call it are about what a
// cancellation does, so for them CancelRequest closes the Cancel channel of the
// request. Other tests get their requests passed on untouched.
var cancels = os.Getenv(CancelVariable) != ""

// cancelers holds what cancels a request.
var cancelers sync.Map // from *http.Request to func()

// cancelable returns a copy of req that CancelRequest can cancel, as can the
// Cancel channel that req has of its own.
func cancelable(req *http.Request) *http.Request {
	if !cancels {
		return req
	}
	ch := make(chan struct{})
	cancel := sync.OnceFunc(func() { close(ch) })
	cancelers.Store(req, cancel)
	if own := req.Cancel; own != nil {
		go func() { // ends with either channel, or with the process
			select {
			case <-own:
				cancel()
			case <-ch:
			}
		}()
	}
	c := *req
	c.Cancel = ch
	return &c
}

// CancelRequest ends what RoundTrip does with req.
func (a *Adapter) CancelRequest(req *http.Request) {
	if cancel, ok := cancelers.LoadAndDelete(req); ok {
		cancel.(func())()
	}
}
