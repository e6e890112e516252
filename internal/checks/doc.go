// Package checks holds the tests of the repository itself: that the rooms
// import one another in one direction only, that every exported name is
// explained, that README.md shows code which compiles, that the exported API
// changes on purpose only. It has no code to import.
package checks
