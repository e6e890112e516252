package hostcheck

import (
	"fmt"
	"strings"
)

// many is how many sockets in a state that should pass are a heap.
const many = 100

// lingering finds heaps of connections that one side has closed and the other has
// not.
func (k *check) lingering() {
	if n := k.c.Total(CloseWait); n >= many {
		k.found = append(k.found, Finding{
			ID: "close-wait", Severity: Warning, Key: "sockets",
			Set:    k.heap(CloseWait, n),
			Effect: "The peer has closed these and a program on this host has not. The kernel keeps them for as long as the program does: it has no timeout for CLOSE_WAIT.",
			Change: "if they stay, find the program (ss -tnp state close-wait): it leaks connections, such as response bodies that are not closed",
		})
	}
	if n := k.c.Total(FinWait2); n >= many {
		k.found = append(k.found, Finding{
			ID: "fin-wait-2", Severity: Warning, Key: "sockets",
			Set:    k.heap(FinWait2, n),
			Effect: fmt.Sprintf("This host has closed these and their peers have not. %s Those that a program has only closed for writing stay until the peer closes.", k.orphans()),
			Change: "find out why the peers do not close: programs that leak connections there, or a box on the way that has forgotten them",
		})
	}
}

// orphans says what becomes of connections in FIN_WAIT_2 without a program.
func (k *check) orphans() string {
	if n, ok := k.int(finTimeout); ok {
		return fmt.Sprintf("Those that no program has any more are dropped after %d s (%s).", n, finTimeout)
	}
	return "Those that no program has any more are dropped after a minute."
}

// heap says how many there are and where most of them belong.
func (k *check) heap(s State, n int) string {
	const shown = 3
	var places []string
	for _, d := range k.c.Destinations() {
		if d.States[s] > 0 && len(places) < shown {
			places = append(places, fmt.Sprintf("%d %v", d.States[s], place(d)))
		}
	}
	return fmt.Sprintf("%d sockets in %v: %s", n, s, strings.Join(places, ", "))
}

func place(d Destination) string {
	if d.Accepted {
		return fmt.Sprintf("accepted at %v", d.Addr)
	}
	return fmt.Sprintf("to %v", d.Addr)
}
