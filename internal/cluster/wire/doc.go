// Package wire writes the words of the cluster as bytes and reads them back: what nodes tell each
// other. The format is protobuf; the schema is wirepb/cluster.proto, and it says how to change it
// so that a version speaks with the one before and the one after it. The payloads of the single
// methods are in the package call.
//
// All functions are pure. Append functions and Marshal functions cannot fail: they write what this
// node has made itself. Unmarshal functions read what came from outside: they check the limits
// below and the rules of the words (a view is in order, a name is not empty), never panic, and
// allocate no more than a small multiple of the bytes given. They copy: nothing they return refers
// to the bytes given. Their errors are of KindInvalid or KindLimit. What is read and written again
// gives the value that was read.
//
// The functions convert words directly and hold no generated structs; the generated code in wirepb
// is there for other programs and for the tests, which hold both against each other.
package wire
