# Net::LDAP against dird. Usage: perl net_ldap.pl ldap://HOST:PORT ADMIN-DN PASSWORD CONTAINER
use strict;
use warnings;
use Net::LDAP;
use Net::LDAP::Control::Paged;
use Net::LDAP::Constant qw(LDAP_CONTROL_PAGED LDAP_COMPARE_TRUE LDAP_NO_SUCH_OBJECT);

my ($url, $admin, $password, $container) = @ARGV;

sub ok
{
	my ($what, $result) = @_;

	die "$what: " . $result->error_name . " " . $result->error . "\n" if $result->code;
	return $result;
}

my $ldap = Net::LDAP->new($url) or die "connect: $@\n";
ok('StartTLS', $ldap->start_tls(verify => 'none'));
ok('bind', $ldap->bind($admin, password => $password));

my $page = Net::LDAP::Control::Paged->new(size => 9);
my $found = 0;
while (1) {
	my $answer = ok('search', $ldap->search(base => $container, filter => '(cn=Person*)',
			attrs => ['cn'], control => [$page]));
	$found += $answer->count;
	my ($response) = $answer->control(LDAP_CONTROL_PAGED) or die "no paged control\n";
	last unless length($response->cookie // '');
	$page->cookie($response->cookie);
}

my $dn = "cn=Perl Person,$container";
ok('add', $ldap->add($dn, attrs => [objectClass => ['inetOrgPerson'], sn => 'Person']));
ok('modify', $ldap->modify($dn, changes => [add => [title => 'Clerk'], replace => [sn => 'Other']]));
my $equal = $ldap->compare($dn, attr => 'title', value => 'clerk');
die 'compare: ' . $equal->error_name . "\n" unless $equal->code == LDAP_COMPARE_TRUE;
ok('moddn', $ldap->moddn($dn, newrdn => 'cn=Perl Two', deleteoldrdn => 1));
ok('delete', $ldap->delete("cn=Perl Two,$container"));
my $gone = $ldap->delete($dn);
die 'delete again: ' . $gone->error_name . "\n" unless $gone->code == LDAP_NO_SUCH_OBJECT;

my $schema = $ldap->schema or die "no schema\n";
die "schema lacks imsConnector\n" unless $schema->objectclass('imsConnector');
$ldap->unbind;
print "found $found, all well\n";
