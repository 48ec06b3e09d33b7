// Package config is a node's configuration: one struct, its defaults, its strict TOML reader and
// the example file that is generated from it.
//
// Nothing of a cluster is configured here but what this one machine cannot know by itself:
// where to listen, where to keep data, its TLS certificate. Users, domains and aliases live in
// the cluster. A node runs with no file at all on the defaults.
//
// A field left out, empty or zero means its default, never "unlimited". A field that does not
// exist is an error that names it.
package config
