// SPDX-License-Identifier: Apache-2.0
// Command lines on which ours must do as the real ipvsadm does: every command with every option, values at and beyond
// their limits, odd spellings, and what people type wrongly. Written with `_` for an empty word.

const COMMANDS = [
  '-A',
  '-E',
  '-D',
  '-C',
  '-R',
  '-S',
  '-a',
  '-e',
  '-d',
  '-L',
  '-Z',
  '--set',
  '--start-daemon master',
  '--stop-daemon backup',
];

const OPTIONS = [
  '-t 10.0.0.1:80',
  '-u 10.0.0.1:53',
  '-f 7',
  '-r 1.2.3.4:81',
  '-s sh',
  '-p 5',
  '-M 255.255.0.0',
  '-m',
  '-i',
  '-w 3',
  '-x 4',
  '-y 4',
  '-n',
  '-c',
  '--timeout',
  '--daemon',
  '--syncid 3',
  '--sync-maxlen 1000',
  '--mcast-interface e0',
  '--mcast-group 224.1.1.1',
  '--mcast-port 33',
  '--mcast-ttl 3',
  '--stats',
  '--rate',
  '--thresholds',
  '--persistent-conn',
  '--nosort',
  '--sort',
  '-X',
  '-o',
  '--pe sip',
  '-b flag-1',
  '--tun-type gue',
  '--tun-port 4',
  '--tun-nocsum',
  '--tun-csum',
  '--tun-remcsum',
  '--tun-info',
  '-6',
];

const LISTING = OPTIONS.filter((option) => /^(-[tfncX]\b|--(timeout|daemon|st|ra|th|pe|no|tun-info))/.test(option));

const ADDRESSES = [
  '10.0.0.1:80',
  '10.0.0.1',
  '10.0.0.1:',
  '10.0.0.1:0',
  '10.0.0.1:65535',
  '10.0.0.1:65536',
  '10.0.0.1:-1',
  '10.0.0.1:+80',
  '10.0.0.1:080',
  '10.0.0.1:0x50',
  '10.0.0.1:http',
  '10.0.0.1:HTTP',
  '10.0.0.1:domain',
  '10.0.0.1:no-such-name',
  '10.0.0.1:80:80',
  '80',
  ':80',
  ':http',
  '_',
  '1:80',
  '1.2:80',
  '1.2.3:80',
  '1.2.3.4.5:80',
  '1.2.3.:80',
  '1..2:80',
  '1.65535:80',
  '1.65536:80',
  '1.16777216:80',
  '1.2.65535:80',
  '1.2.65536:80',
  '0x0a.1:80',
  '0X0A.1:80',
  '0x:80',
  '010.0.0.1:80',
  '08.0.0.1:80',
  '256.1.1.1:80',
  '4294967295:80',
  '4294967296:80',
  '1.2.3.4\tx:80',
  'localhost:80',
  'LOCALHOST:www',
  '[10.0.0.1]:80',
  '[localhost]:80',
  '[1.2.3.4:5]:80',
  '[::1]:80',
  '[::1]:http',
  '[::1]:',
  '[::1]',
  '[::1',
  '[::1]x80',
  '[[::1]]:80',
  '[]:80',
  '::1',
  '::1:80',
  ':::80',
  '[1::2::3]:80',
  '[1:2:3:4:5:6:7:8]:80',
  '[1:2:3:4:5:6:7:8:9]:80',
  '[::ffff:1.2.3.4]:80',
  '::ffff:1.2.3.4:80',
  '[fe80::1%lo]:80',
  '[2001:DB8::1]:80',
];

const NUMBERS = [
  '0',
  '1',
  '-1',
  '+5',
  '010',
  '0x10',
  'x',
  '_',
  '5x',
  '2147483647',
  '2147483648',
  '99999999999999999999',
];
const LIMITS = ['255', '256', '65507', '65508', '65535', '65536', '2678400', '2678401', '4294967295', '4294967296'];

const T = '-t 10.0.0.1:80';
const R = `${T} -r 1.2.3.4:81`;

const SINGLE = `
-h
-h -Q
-hA
--help
-v
-vfoo
-v -Z
--version=1
--
-
-- -L
x
x -L
- -L
-q
-6
${T}
-nL
-Ln
-ln
-LnX
-Ln=3
-L=3
-L=n
-LnZ
-LnA
-Lnq
-Lnt
-LL
-Ll
-L -l
-Lh
-Lnv
-L --version
-L -nt10.0.0.1:80
-L a b
-L -- a
-L --
-lc foo
-Zt10.0.0.1:1
-Sn
-S x
-C x
-R x
--lis
--list --numeric
--list=3
--add-service=3 ${T}
--add-service --tcp-service=10.0.0.1:88 --scheduler=rr
-A ${T} --numeric=3
-At10.0.0.1:90 -srr
-At 10.0.0.1:90 -s=rr
-A ${T} --bad
-A ${T} --bad=3
-A foo ${T}
-A foo ${T} -q
-A ${T} foo bar
-A ${T} -- foo
-A ${T} -
-A ${T} _
-A -t
-A ${T} -w
-A ${T} -p -w
-A --start-daemon=master
-A --start-daemon master
-A --start-daemon
-A ${T} --set
-A -D ${T}
-AL
-A ${T} -p
-A ${T} -p -s rr
-A ${T} -p60
-A ${T} -p=7
-A ${T} -p=
-A ${T} --persistent
-A ${T} --persistent 9
-A ${T} --persistent=
-A ${T} --persistent=8
-A ${T} -p _
-A -p ${T}
-A ${T} -s _
-A ${T} -s=
-A ${T} --scheduler=
-A ${T} -s abcdefghijklmnopqrstuvwxyz
-A ${T} -s rr -s rr
-A ${T} -p 4 --pe abcdefghijklmnopqrstuvwxyz
-A ${T} -p 4 --pe _
-A ${T} -p 4 --pe sip
-A -t [::1]:80 -M 64 -p
-A -t [::1]:80 -M 64x -p
-A -t [::1]:80 -M 0 -p
-A -t [::1]:80 -M 128 -p
-A -t [::1]:80 -M 129 -p
-A -t [::1]:80 -M x -p
-A -M 64 -p -t [::1]:80
-A -M 255.255.255.0 -p ${T}
-A ${T} -p -M 255.255.255.255
-A ${T} -p -M 0.0.0.0
-A ${T} -p -M 999.1.1.1
-A ${T} -p -M 255.255
-A ${T} -p -M 0xffffff00
-A ${T} -p -M 128.0.0.0
-A ${T} -p -M x.invalid
-A -f 1 -M 255.0.0.0 -p -6
-A -f 1 -6 -M 255.0.0.0 -p
-A -f 1 -6 -M 64 -p
-A -f 1 -6 -o
-A -f 1 -f 2
-A -f 1 ${T}
-A ${T} -f 1
-A ${T} ${T}
-A -f 5 -t x.invalid:2
-A -t x.invalid:2 -f 5
-A -w 3 -t x.invalid:2
-A -b sh-port -s sh ${T}
-A ${T} -b sh-port -s sh
-A ${T} -b sh-port,sh-fallback -s sh
-A ${T} -b mh-port,flag-3 -s mh
-A ${T} -b mh-port -s sh
-A ${T} -b sh-port -s wlc foo
-A ${T} -b sh-port -n
-A ${T} -b sh-port -q
-A ${T} -b sh-port -s _
-A ${T} -b _
-A ${T} -b flag-1,,flag-2
-A ${T} -b ,flag-2,
-A ${T} -b flag-1,foo,bar
-A ${T} -b flag-1,flag-1
-A ${T} -b FLAG-1
-A ${T} -b flag-4
-A -b foo
-C -b foo
-A -t 10.0.0.1 -b foo
-A ${T} -b ${'x'.repeat(300)}
-A ${T} -b ${'flag-2,'.repeat(18)}flag-3
-A -t 10.0.0.1 -p
-A -t 10.0.0.1 -o
-A -t 10.0.0.1 -p -o
-A -u 10.0.0.1 -p -o
-A -u 10.0.0.1:53 -o
-A --sctp-service 10.0.0.1:1 -o
-E -t 10.0.0.1
-D -t 10.0.0.1
-D -f 3 -6
-Z -f 1
-Z -t 10.0.0.1
-L -f 1 -6
-L -t 10.0.0.1
-L -u [::1]:53
-a -r 1.2.3.4 ${T} -m
-a -r 1.2.3.4 ${T}
-a -r 1.2.3.4:http ${T} -m
-a ${T} -r 1.2.3.4:http -m
-a ${T} -r 1.2.3.4 -m
-a ${T} -r 1.2.3.4:0 -m
-a -u 10.0.0.1:53 -r 1.2.3.4:domain -m
-a -u 10.0.0.1:53 -r 1.2.3.4:http -m
-a -f 1 -r 1.2.3.4 -m
-a -f 1 -r 1.2.3.4:http -m
-a -f 1 -r 1.2.3.4:8 -g
-a -f 1 -r 1.2.3.4:8 -i
-a -f 1 -6 -r [::1]:3
-a -f 1 -r [::1]:3
-a -f 1 -r [::1]:3 -6
-a -f 1 -r [::1]:3 -i
-a ${T} -r [::1]:3 -i
-a ${T} -r [::1]:3 -m --tun-csum
-a -t [::1]:80 -r ::2 -m
-a -t [::1]:80 -r 1.2.3.4:80 -m
-a -t [::1]:80 -r 1.2.3.4:80 -i
-d ${R}
-d ${T} -r 1.2.3.4
-d ${T} -r [::1]:3
-d ${R} -i
-e ${R}
-e ${R} -m -w 0 -x 3 -y 2
-a ${R} -g -m
-a ${R} -m -m
-a ${R} --tun-type gue
-a ${R} -g --tun-type gue --tun-port 5
-a ${R} -i --tun-type foo
-a ${R} -i --tun-type GUE --tun-port 5
-a ${R} --tun-port 0
-a ${R} -i --tun-port http --tun-type gue
--set 1 2
--set
--set 1 2 3 4
--set 0 0 0
--set 2678400 1 1
--set 1 2678401 1
--set 1 x 1
--set 1 1 _
--set -- -1 1 1
--set -1 1 1
--set=1 2 3
--set +1 01 2
--set 1 2 -b foo
--start-daemon
--start-daemon foo
--start-daemon=master
--start-daemon backup
--stop-daemon
--stop-daemon foo
--stop-daemon master --syncid 3
--start-daemon master --mcast-group ff02::1
--start-daemon master --mcast-group fe80::1
--start-daemon master --mcast-group ::x
--start-daemon master --mcast-group 239.255.255.255
--start-daemon master --mcast-group 240.0.0.0
--start-daemon master --mcast-group 224.0.0
--start-daemon master --mcast-group x
--start-daemon master --mcast-group 0xe0.1
--start-daemon master --mcast-group [ff02::1]
--start-daemon master --mcast-interface abcdefghijklmnopqrstuvwxyz
-L -c -t 1.1.1.1:1 --timeout
-L --timeout --stats ${T}
-L --sort --sort
-L -n -n
`;

const TUNNELS = ['', '--tun-type ipip', '--tun-type gue', '--tun-type gre'].flatMap((type) =>
  ['', '--tun-port 6080'].flatMap((port) =>
    ['', '--tun-csum', '--tun-nocsum', '--tun-remcsum', '--tun-csum --tun-nocsum', '--tun-nocsum --tun-remcsum'].map(
      (checksum) => `-a ${R} -i ${type} ${port} ${checksum}`,
    ),
  ),
);

const NUMERIC = [
  `-a ${R} -w`,
  `-a ${R} -x`,
  `-a ${R} -y`,
  '-A -f',
  `-A ${T} -p`,
  '--start-daemon master --syncid',
  '--start-daemon master --sync-maxlen',
  '--start-daemon master --mcast-port',
  '--start-daemon master --mcast-ttl',
].flatMap((start) => [...NUMBERS, ...LIMITS].map((number) => `${start} ${number}`));

function needed(command: string): string {
  if (command === '-a' || command === '-e' || command === '-d') return R;
  if (command === '-A' || command === '-E') return '-u 10.0.0.1:80';
  if (command === '-D') return T;
  return command === '--set' ? '1 2 3' : '';
}

/** Every vector, as words. */
export const VECTORS: readonly (readonly string[])[] = [
  ...SINGLE.trim().split('\n'),
  ...COMMANDS,
  ...COMMANDS.flatMap((command) => OPTIONS.map((option) => `${command} ${needed(command)} ${option}`)),
  ...COMMANDS.flatMap((command) => ['-t 10.0.0.1:80', '-r 1.2.3.4', '-n', '-s rr'].map((one) => `${command} ${one}`)),
  ...LISTING.flatMap((one) => LISTING.map((other) => `-L ${one} ${other}`)),
  ...ADDRESSES.map((address) => `-A -t ${address} -s rr`),
  ...ADDRESSES.map((address) => `-D -u ${address}`),
  ...ADDRESSES.map((address) => `-d ${T} -r ${address}`),
  ...TUNNELS,
  ...NUMERIC,
].map((line) =>
  line
    .split(' ')
    .filter((word) => word !== '')
    .map((word) => (word === '_' ? '' : word)),
);

/** Words of which random command lines are made. */
export const WORDS: readonly string[] = [
  ...COMMANDS.flatMap((command) => command.split(' ')),
  ...OPTIONS.flatMap((option) => option.split(' ')),
  ...OPTIONS.map((option) => option.replace(' ', '=')),
  '[2001:db8::1]:80',
  '-t[2001:db8::1]:80',
  '-p',
  '-i',
  '-g',
  '--',
  '-nX',
  'foo',
  '--bad',
  'ipvsadm',
];

/** Inputs of `ipvsadm -R`. */
export const RESTORES: readonly string[] = [
  '',
  '\n',
  '-A -t 1.2.3.4:1\n-a -t 1.2.3.4:1 -r 5.6.7.8 -m\n',
  '  -A\t-t   1.2.3.4:1  \n',
  '\n\n-C\n   \n-Z\n',
  'ipvsadm -C\n',
  'ipvsadm\n-C\n',
  'ipvsadm ipvsadm -C ipvsadm\n',
  '-A -t 1.2.3.4:1 ipvsadm -s rr\n',
  '/sbin/ipvsadm -C\n',
  'ipvsadm2 -C\n',
  '-Z',
  '-q\n-C\n',
  '-A -t\n-C\n',
  '-A -t 1.2.3.4:1 -q\n-C\n',
  '-A bogus\n-C\n',
  '-C\n-A -t x\n-Z\n',
  '# foo\n-C\n',
  '#\n-C\n',
  '-C #x\n',
  '-A -t 1.2.3.4:1 -s "r r"\n',
  "-A -t 1.2.3.4:1 -s 'rr'\n",
  '-A -t 1.2.3.4:1 \\\n -s rr\n',
  '-C\r\n-Z\r\n',
  '-v\n-C\n',
  '-h\n-C\n',
  '-R\n-C\n',
  '-C\n--restore\n-Z\n',
  '-A -t 1.2.3.4:1 -p\n-C\n',
  '--set 1 2 3\n--set 1\n',
  'foo\n-C\n',
  '-',
];
