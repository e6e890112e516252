// Package pool decides who gets a connection, who waits, and which connection
// is given up. It knows keys, connections and slots, and nothing of HTTP or
// sockets: [Config] brings the functions that open and close a connection.
package pool
