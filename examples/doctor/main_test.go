package main

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// asDoctor has the test binary be the program.
const asDoctor = "STAYOPEN_DOCTOR"

func TestMain(m *testing.M) {
	if os.Getenv(asDoctor) != "" {
		main()
	}
	goleak.VerifyTestMain(m)
}
