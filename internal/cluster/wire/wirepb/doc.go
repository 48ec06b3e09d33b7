// Package wirepb is the schema of what nodes tell each other, cluster.proto and call.proto, and the
// Go code generated from it.
//
// The rooms of this module do not use the generated code: the package wire reads and writes the
// same bytes straight from and to their own values. It is here for programs of other kinds, and for
// the tests, which hold the two against each other, so that neither strays from the schema.
//
// After a change of the schema run `go generate` here. The tools are pinned: buf below, the plugin
// in buf.gen.yaml. They come by the Go module proxy and are not in go.mod.
package wirepb

//go:generate go run github.com/bufbuild/buf/cmd/buf@v1.75.0 generate
