package hostcheck_test

import (
	"fmt"
	"strings"

	"github.com/stayopen-go/stayopen/dialer/hostcheck"
)

// A recipe is judged before it is applied.
func ExampleSettings_Override() {
	const recipe = `# found on the internet
net.ipv4.tcp_fin_timeout = 30
net.ipv4.tcp_tw_recycle = 1
`
	var s hostcheck.Settings
	if err := s.Override("recipe.conf", strings.NewReader(recipe)); err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range hostcheck.Check(&s, nil) {
		fmt.Printf("%s:%d: %s = %s: %s\n", f.File, f.Line, f.Key, f.Set, f.Severity)
		fmt.Printf("  %q: %s.\n", f.Recipe, f.Wrong)
	}
	// Output:
	// recipe.conf:3: net.ipv4.tcp_tw_recycle = 1: warning
	//   "tcp_tw_recycle = 1 gets rid of TIME_WAITs": it dropped connections from clients that share an address behind NAT, whose clocks differ, which is why it was removed in Linux 4.12.
	// recipe.conf:2: net.ipv4.tcp_fin_timeout = 30: warning
	//   "tcp_fin_timeout = 30 shortens TIME_WAIT": it is the time in FIN_WAIT_2 only; with 5 s, TIME_WAIT still took 61 s (measured on Linux 6.18).
}
