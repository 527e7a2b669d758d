// SPDX-License-Identifier: Apache-2.0
// TCP header (RFC 9293 §3.1).
// hot path

//  0 source port(2)  2 destination port(2)  4 sequence(4)  8 acknowledgment(4)  12 data offset(1)  13 flags(1)
// 14 window(2)  16 checksum(2)  18 urgent(2)
export const TCP_SRC = 0;
export const TCP_DST = 2;
export const TCP_SEQ = 4;
export const TCP_ACK = 8;
export const TCP_OFFSET = 12;
export const TCP_FLAGS = 13;
export const TCP_WINDOW = 14;
export const TCP_CHECKSUM = 16;
export const TCP_URGENT = 18;
export const TCP_HLEN = 20;

export const TCP_FIN = 0x01;
export const TCP_SYN = 0x02;
export const TCP_RST = 0x04;
export const TCP_PSH = 0x08;
export const TCP_ACK_FLAG = 0x10;
export const TCP_URG = 0x20;
export const TCP_CWR = 0x80;
