// Package transport carries requests and answers between the nodes of one cluster.
//
// The contract is one exchange: a node calls a method of another and gets an answer or an
// error. A request has a small payload and, for some methods, a body (the contents of an
// object); so has an answer. What the methods mean is the node's business; here they are names.
//
// Every call and every answer carries the speaker's [cluster.Stamp]: who it is, in which epoch,
// what time it has and how loaded it is. The receiver's [Host] sees the stamp BEFORE the request
// is executed and may refuse it (invariant M4: a request from another epoch is refused, never
// executed); the caller's Host sees the stamp of every answer, refusals included.
//
// There are two implementations, held together by one conformance suite:
//
//   - [Port] speaks gRPC over mutual TLS 1.3 on the node's cluster port. The peer's certificate
//     names the node (invariant A3: nothing is parsed before both sides have proven that they
//     belong to this cluster). Small calls follow one another on streams that stand, one call at a time on
//     each; large bodies have a stream of their own.
//   - [SwitchPort], made by [NewSwitch], lives in one process and can lose, delay, reorder and
//     duplicate requests and cut links, by a seed. It runs inside testing/synctest bubbles.
//
// # Duties of a caller
//
// Open the port, build the node on it (the port is its [Caller]), then let the node answer with
// Serve; in the other order, Close. A failed call may have been executed: only an answer proves
// anything. [Unreachable] tells a peer that could not be reached, which the membership core must
// hear of, from a peer that answered with an error. Nothing here retries a request that the peer
// may have seen.
package transport
