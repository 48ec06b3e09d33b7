// Package store keeps a node's hard state: the objects it holds, on disk, laid out by bucket.
package store
