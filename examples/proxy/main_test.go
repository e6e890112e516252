package main

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// childEnv tells the test binary to be the program.
const childEnv = "STAYOPEN_PROXY_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		main()
	}
	goleak.VerifyTestMain(m)
}
