// Package balance chooses the nodes that store a new object (Porcupine §4.5).
//
// The decision is taken for each object by the proxy that has it in hand; there is no central
// service. The load measure is the number of durable commits a node has pending, weighted by
// how long one took lately, so that a slow disk and a busy disk look alike. What a node knows
// of the others is carried by every call and answer, and is old by the time it is used, so a
// choice is made among few candidates: those that hold objects of the owner already, filled up
// to the spread with random others. Few candidates keep an owner's objects together (affinity)
// and keep many proxies from running to the same idle node at once.
package balance
