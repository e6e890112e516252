// Package growth holds the rules by which package pool opens and closes
// connections of one key: when a dial is the better way for those who wait, and
// how many idle connections are more than the key needs. They are arithmetic on
// what the caller tells them, without clocks, timers or mutexes, so that a pool
// can obey them and a model of it can foretell what it will do.
package growth
