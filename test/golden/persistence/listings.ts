// SPDX-License-Identifier: Apache-2.0
// Listings of a table with persistent services of every kind, as captured from the real ipvsadm 1.31 on a real kernel
// (Linux 6.1). Connection listings were captured in the order of a hash: compare them as sets.

export const SERVICES = [
  '-A -t 10.0.0.1:2101 -s rr',
  '-a -t 10.0.0.1:2101 -r 192.168.1.1:880 -m',
  '-A -t 10.0.0.1:2201 -s rr -p 50',
  '-a -t 10.0.0.1:2201 -r 192.168.1.1:2201 -m',
  '-a -t 10.0.0.1:2201 -r 192.168.1.2:2201 -m',
  '-A -t 10.0.0.1:0 -s rr -p 60 -M 255.255.255.0',
  '-a -t 10.0.0.1:0 -r 192.168.1.1:0 -m',
  '-A -u 10.0.0.1:2203 -s rr -p 70',
  '-a -u 10.0.0.1:2203 -r 192.168.1.1:2203 -m',
  '-A -u 10.0.0.1:5060 -s rr -p 80 --pe sip',
  '-a -u 10.0.0.1:5060 -r 192.168.1.1:5060 -m',
  '-A -u 10.0.0.1:2204 -s rr -o',
  '-a -u 10.0.0.1:2204 -r 192.168.1.1:2204 -m',
  '-A -f 7 -s rr -p 90',
  '-a -f 7 -r 192.168.1.1:0 -m',
].join('\n');

export const CONNECTIONS = `IPVS connection entries
pro expire state       source             virtual            destination        pe name          pe_data
TCP 00:49  NONE        10.7.0.1:0         10.0.0.1:2201      192.168.1.2:2201
UDP 01:19  NONE        10.7.0.1:0         10.0.0.1:5060      192.168.1.1:5060 sip                abc123@host
TCP 00:59  SYN_RECV    10.7.0.1:5001      10.0.0.1:2201      192.168.1.2:2201
UDP 04:59  UDP         10.7.0.1:5005      10.0.0.1:5060      192.168.1.1:5060
TCP 00:59  SYN_RECV    10.7.0.1:5003      10.0.0.1:7777      192.168.1.1:7777
UDP 01:09  NONE        10.7.0.1:0         10.0.0.1:2203      192.168.1.1:2203
TCP 00:59  SYN_RECV    10.7.0.1:4000      10.0.0.1:2101      192.168.1.1:880
TCP 00:59  SYN_RECV    10.7.0.1:5002      10.0.0.1:2201      192.168.1.2:2201
UDP 04:59  UDP         10.7.0.1:5004      10.0.0.1:2203      192.168.1.1:2203
TCP 00:59  SYN_RECV    10.7.0.1:5007      10.0.0.1:2205      192.168.1.1:2205
TCP 00:59  NONE        10.7.0.0:0         10.0.0.1:0         192.168.1.1:0
IP  01:29  NONE        10.7.0.1:0         0.0.0.7:0          192.168.1.1:0
`;

/** After the rest of the handshake on the connection of port 5001, and an answer to the datagram of port 5004. */
export const PROVED = `IPVS connection entries
pro expire state       source             virtual            destination        pe name          pe_data
TCP 00:49  ASSURED     10.7.0.1:0         10.0.0.1:2201      192.168.1.2:2201
UDP 01:19  NONE        10.7.0.1:0         10.0.0.1:5060      192.168.1.1:5060 sip                abc123@host
TCP 14:59  ESTABLISHED 10.7.0.1:5001      10.0.0.1:2201      192.168.1.2:2201
UDP 04:59  UDP         10.7.0.1:5005      10.0.0.1:5060      192.168.1.1:5060
TCP 00:59  SYN_RECV    10.7.0.1:5003      10.0.0.1:7777      192.168.1.1:7777
UDP 01:09  ASSURED     10.7.0.1:0         10.0.0.1:2203      192.168.1.1:2203
TCP 00:59  SYN_RECV    10.7.0.1:4000      10.0.0.1:2101      192.168.1.1:880
TCP 00:59  SYN_RECV    10.7.0.1:5002      10.0.0.1:2201      192.168.1.2:2201
UDP 04:59  UDP         10.7.0.1:5004      10.0.0.1:2203      192.168.1.1:2203
TCP 00:59  SYN_RECV    10.7.0.1:5007      10.0.0.1:2205      192.168.1.1:2205
TCP 00:59  NONE        10.7.0.0:0         10.0.0.1:0         192.168.1.1:0
IP  01:29  NONE        10.7.0.1:0         0.0.0.7:0          192.168.1.1:0
`;

export const PERSISTENT_CONN = `IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port            Weight    PersistConn ActiveConn InActConn 
  -> RemoteAddress:Port
TCP  10.0.0.1:0 rr persistent 60 mask 255.255.255.0
  -> 192.168.1.1:0                1         1           1          0         
TCP  10.0.0.1:2101 rr
  -> 192.168.1.1:880              1         0           1          0         
TCP  10.0.0.1:2201 rr persistent 50
  -> 192.168.1.1:2201             1         0           0          0         
  -> 192.168.1.2:2201             1         1           2          0         
UDP  10.0.0.1:2203 rr persistent 70
  -> 192.168.1.1:2203             1         1           0          1         
UDP  10.0.0.1:2204 rr ops
  -> 192.168.1.1:2204             1         0           0          0         
UDP  10.0.0.1:5060 rr persistent 80 pe sip
  -> 192.168.1.1:5060             1         1           0          1         
FWM  7 rr persistent 90
  -> 192.168.1.1:0                1         1           1          0         
`;

/** After 50 segments of 1040 bytes on the connection of port 5001. */
export const STATS = `IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes
  -> RemoteAddress:Port
TCP  10.0.0.1:0                          1        1        0       40        0
  -> 192.168.1.1:0                       1        1        0       40        0
TCP  10.0.0.1:2101                       1        1        0       40        0
  -> 192.168.1.1:880                     1        1        0       40        0
TCP  10.0.0.1:2201                       2       53        1    52120       40
  -> 192.168.1.1:2201                    0        0        0        0        0
  -> 192.168.1.2:2201                    2       53        1    52120       40
UDP  10.0.0.1:2203                       1        1        1       30       30
  -> 192.168.1.1:2203                    1        1        1       30       30
UDP  10.0.0.1:2204                       1        1        0       31        0
  -> 192.168.1.1:2204                    1        1        0       31        0
UDP  10.0.0.1:5060                       1        1        0      181        0
  -> 192.168.1.1:5060                    1        1        0      181        0
FWM  7                                   1        1        0       40        0
  -> 192.168.1.1:0                       1        1        0       40        0
`;
