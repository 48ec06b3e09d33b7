// Package identity says who a node is and lets it prove that to others: the cluster's own
// certificate authority (CA), the node's certificate, and the tokens by which a new node joins.
//
// # The idea
//
// `porcupine init` makes a cluster: a random cluster id, a CA, and a certificate for the first
// node. A certificate names its node in one URI, porcupine://CLUSTERID/node/NODEID. Every
// connection between nodes is TLS 1.3 with certificates on both sides, checked against this one
// CA and no other; the system's roots play no part. An id in a certificate is the only name that
// counts: addresses and host names may change and prove nothing.
//
// All nodes are equal, so every node holds the CA's key and can admit a new one. The whole
// identity (both certificates, both keys) is one file, identity.pem, mode 0600, replaced in one
// step, so that a crash leaves the old one or the new one and never half of one.
//
// # Joining
//
// Any node issues a join token: one line of text with its addresses, the SHA-256 of the CA's
// certificate, and a 128-bit secret. It is good for one use within TokenTTLMax. The issuing node
// keeps only a hash of it, in memory, at most TokensMax at once: a restart forgets them, another
// node does not know them, and so "one use" needs no agreement, also in a partition.
//
// The new node makes its own key pair, connects to an address in the token and checks, BEFORE it
// sends anything, that the server's certificate is signed by the CA whose hash is in the token.
// Then it sends the secret, its id and a certificate signing request; it gets its certificate, the
// CA's key, and the addresses of the nodes known. The secret is checked, and the token used up,
// BEFORE anything else in the request is looked at.
//
// The exchange runs on the cluster port, apart by its ALPN name. Only while a token is open does
// the port agree to that name at all; to everyone else, and at all other times, it demands a
// verified certificate before it reads a byte beyond the handshake (invariant A3). A joiner's
// connection is never handed to the RPC server.
//
// # Certificates in time
//
// A node's certificate lives for CertLife; at two thirds of that the node makes itself a new one
// with a new key. A node that was away until its certificate ran out renews it when it starts:
// the CA's key is at hand. The CA's certificate has no end (RFC 5280 §4.1.2.5): to replace the CA
// is to make a new cluster.
//
// # Trust model (attack row 39)
//
// The nodes of a cluster trust each other fully: each can read and write all mail, and with the
// CA's key can certify any node id. Who takes over one node, or reads its identity.pem, has the
// cluster. What is guarded is the door: nobody without a certificate of this CA gets further than
// the handshake; a peer cannot speak in the name of another node than its certificate's; a joiner
// cannot take the id of a node that exists. To remove a node that is not trusted any more, make a
// new cluster; shutting the node out by its id stops its mistakes, not its malice.
package identity
