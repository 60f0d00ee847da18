* nmos-rvt at ff: one fin of the 7 nm node as a BSIM4 card for stock ngspice.
* Written by `spicekit devices fit` from device.toml and its curves; errors in fit.md.
.model nmos_rvt_ff nmos (
+ level=14 version=4.8 tnom=25 capmod=2 rdsmod=0 igcmod=0
+ igbmod=0 paramchk=0 ndep=1e+18 k1=0 k2=0 k3=0
+ lpe0=0 lpeb=0 dvt0=0 dvt0w=0 dvtp0=0 etab=0
+ dsub=1 uc=0 a0=0 ags=0 a1=0 keta=0
+ b0=0 cit=0 cdsc=0 cdscb=0 voffl=0 pdiblc1=0
+ pdiblc2=0 pscbe1=0 pscbe2=0 kt1l=0 kt2=0 uc1=0
+ cf=0 jss=1e-30 jsws=0 jswgs=0 cjs=0 cjsws=0
+ cjswgs=0 mobmod=4 toxe=7.5e-10 toxp=7.5e-10 toxm=7.5e-10 cgso=1.927899e-10
+ cgdo=1.927899e-10 vth0=0.3545687 nfactor=0.1177332 eta0=0.1422918 u0=0.02522091 vsat=221444.6
+ pclm=0.09594388 minv=-0.5317915 rdsw=292.7457 ua=8.339729e-10 ub=5.007222e-18 prwg=2.700838
+ delta=0.007908865 pvag=-2 cdscd=0.002584299 voff=-0.1267089 a2=0.9466075 vtl=114728.6
+ xn=3 ute=-0.942844 kt1=-0.01927013 at=-36968.28 ua1=1.071627e-09 ub1=-3.255078e-18
+ prt=2.89805 tvoff=0.003504611 tnfactor=-0.3 teta0=0.01)
