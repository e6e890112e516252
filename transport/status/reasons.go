package status

// reasons say in words what the values of stayopen.close.reason mean.
var reasons = map[string]string{
	"canceled":         "The caller canceled an exchange on it.",
	"body_abandoned":   "A response body was closed early, with too much left to read.",
	"connection_close": "Both sides had agreed that the exchange was its last.",
	"peer_closed":      "The peer closed or reset it, or the network did.",
	"broken":           "An exchange on it failed: a malformed response, a timeout, the request's body.",
	"private":          "It had authenticated somebody (NTLM, Negotiate), and nobody else may use it.",
	"unsolicited":      "Something came on it that nobody had asked for.",
	"protocol":         "HTTP/2: a connection error, or a ping without an answer.",
	"goaway":           "HTTP/2: the peer wanted no more requests on it.",
	"dns":              "Its host has that address no more.",
	"setup_failed":     "It was opened, and then TLS or the proxy failed.",
	"upgraded":         "It had been handed out by an upgrade, and was closed by its receiver or the peer.",
	"idle_timeout":     "It was idle for too long, or as long as its peer allows.",
	"max_age":          "It was as old as it may get.",
	"max_leases":       "It had served as many requests as it may.",
	"idle_limit":       "More connections were idle than may be.",
	"surplus":          "Fewer were needed at once of late.",
	"evicted":          "It was idle and made room for another one.",
	"close_idle":       "CloseIdleConnections was called.",
	"pool_closed":      "The transport was closed.",
	"other":            "For a reason that has no name here.",
}
