// Package gosuite runs Go's own client tests over stayopen.
//
// The tests are those of the Go installation at hand: the files
// src/net/http/client_test.go and the like below GOROOT are read when this
// package's tests run, and no copy of them is kept in this repository. What
// happens to them, in this order:
//
//  1. The named files are parsed, together with whatever else their package's
//     test files declare and they use ([Suite], load).
//  2. Names that only net/http's own export_test.go provides get a stand-in
//     where the public API can play the part (package standin). Tests that run
//     "in all modes" run in https1 mode too.
//  3. What still does not compile is left out, and so is all that needs it,
//     each with the reason ([LeftOut]).
//  4. Wherever an *http.Transport is used as a transport, that is, becomes an
//     http.RoundTripper, has RoundTrip called or is asserted out of an
//     interface, the expression is rewritten to go through an adapter (package
//     adapter). Fields are left alone, so that tests configure their
//     *http.Transport as they always did.
//  5. The result is compiled into one test binary by way of the go command's
//     overlay: nothing is written below the module's root, and the module's own
//     requirements are the ones in force.
//  6. Every test runs in a process of its own, with a time limit, first over
//     net/http itself, which sets the bar: the adapter is the *http.Transport
//     then. The second time the adapter is a stayopen transport, built at the
//     first request with the *http.Transport as its template.
//
// A test that passes on net/http and fails on stayopen fails the run, unless
// LEFTOUT.md names it with a reason. A test that LEFTOUT.md names and that
// passes fails the run as well, so that the list stays true.
package gosuite
